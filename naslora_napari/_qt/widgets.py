"""Small pieces of the panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGroupBox, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

#: A longer name of a key is in the tooltip only.
SHORT_KEY = 3


class Button(QPushButton):
    """A push button whose text and tooltip show the keys that do the same."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._text, self._tooltip = text, ""
        self._keys: tuple[str, ...] = ()

    def setToolTip(self, text: str) -> None:
        """Say what it does; the keys are added."""
        self._tooltip = text
        keys = f"({' or '.join(self._keys)})" if self._keys else ""
        super().setToolTip(f"{text} {keys}".strip())

    def show_keys(self, keys: Sequence[str]) -> None:
        """Show these keys from now on."""
        self._keys = tuple(keys)
        short = f" ({keys[0]})" if keys and len(keys[0]) <= SHORT_KEY else ""
        self.setText(f"{self._text}{short}")
        self.setToolTip(self._tooltip)


def press(pressed: QPushButton) -> None:
    """Click on a button, if a person could."""
    if pressed.isEnabled() and not pressed.isHidden():
        pressed.click()


def button(text: str, clicked: Callable[[], object], tooltip: str = "", checkable: bool = False) -> Button:
    """Return a push button; ``clicked`` gets no argument."""
    made = Button(text)
    made.setCheckable(checkable)
    made.setToolTip(tooltip)
    made.clicked.connect(lambda _checked=False: clicked())
    made.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click on it leaves the keys with the canvas
    return made


def wrapped(text: str = "") -> QLabel:
    """Return a label that breaks its lines and never widens the dock."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label


def counted(number: int, noun: str) -> str:
    """Return "1 image", "2 images"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class Panel(QGroupBox):
    """A titled section of the dock, its widgets one below the other."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self.rows = QVBoxLayout(self)
        self.rows.setContentsMargins(6, 8, 6, 6)
        self.rows.setSpacing(4)

    def add(self, *widgets: QWidget) -> None:
        """Add widgets below each other."""
        for widget in widgets:
            self.rows.addWidget(widget)
