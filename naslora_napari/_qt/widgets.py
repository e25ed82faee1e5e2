"""Small pieces of the panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

#: A longer name of a key is in the tooltip only.
SHORT_KEY = 3
#: A bar that waits moves in so many steps, each so long in ms.
STEPS, STEP_MS = 8, 300


class Button(QPushButton):
    """A push button whose text and tooltip show the keys that do the same."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._text, self._tooltip = text, ""
        self._keys: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that do the same, as a person reads them."""
        return self._keys

    def setToolTip(self, text: str) -> None:
        """Say what it does; the keys are added."""
        self._tooltip = text
        keys = f"({' or '.join(self._keys)})" if self._keys else ""
        super().setToolTip(f"{text} {keys}".strip())
        if not any(map(str.isalpha, self._text)):  # a sign says nothing when it is read aloud
            self.setAccessibleName(text)

    def rename(self, text: str) -> None:
        """Show another text."""
        self._text = text
        self.show_keys(self._keys)

    def show_keys(self, keys: Sequence[str]) -> None:
        """Show these keys from now on."""
        self._keys = tuple(keys)
        short = f" ({keys[0]})" if keys and len(keys[0]) <= SHORT_KEY else ""
        self.setText(f"{self._text}{short}")
        self.setToolTip(self._tooltip)


class Bar(QProgressBar):
    """A progress bar that may also wait for something without an end in sight; what it is in scrolls to it.

    Qt's own way to wait moves forty times a second, and each time the whole window is drawn, canvas included.
    """

    def __init__(self) -> None:
        super().__init__()
        self._steps = QTimer(self, interval=STEP_MS)
        self._steps.timeout.connect(lambda: self.setValue((self.value() + 1) % (STEPS + 1)))

    @property
    def waiting(self) -> bool:
        """True from :meth:`wait` until it shows a part again."""
        return self._steps.isActive()

    def wait(self) -> None:
        """Move, until :meth:`show_part` is called."""
        self.setTextVisible(False)
        self.setRange(0, STEPS)
        self.setValue(0)
        self._steps.start()

    def showEvent(self, event: QShowEvent) -> None:
        """Be seen where the dock is larger than the window: whoever pressed the button sees what it does."""
        super().showEvent(event)
        if not event.spontaneous():
            QTimer.singleShot(0, self, self._reveal)  # the new places of all widgets come first

    def _reveal(self) -> None:
        around = self.parentWidget()
        while around is not None and not isinstance(around, QScrollArea):
            around = around.parentWidget()
        if around is not None:
            around.ensureWidgetVisible(self)

    def show_part(self, done: int, of: int, text: bool = True) -> None:
        """Show how much is done, with ``text`` in per cent as well."""
        self._steps.stop()
        self.setTextVisible(text)
        self.setRange(0, of)
        self.setValue(done)


def press(pressed: QPushButton) -> None:
    """Click on a button, if a person could."""
    if pressed.isEnabled() and not pressed.isHidden():
        pressed.click()


def named(widget: QWidget, name: str, tooltip: str = "") -> None:
    """Say what a field is: to those who point at it, and to a program that reads the window aloud."""
    widget.setAccessibleName(name)
    widget.setToolTip(tooltip or name)


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


def duration(seconds: float) -> str:
    """Return "45 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


class Panel(QGroupBox):
    """A titled section of the dock, its widgets one below the other."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self.rows = QVBoxLayout(self)
        self.rows.setContentsMargins(6, 8, 6, 6)
        self.rows.setSpacing(4)

    def add_row(self, *widgets: QWidget, wide: int | None = None) -> None:
        """Add widgets beside each other; the one of number ``wide`` takes the room that the others leave."""
        row = QHBoxLayout()
        for number, widget in enumerate(widgets):
            row.addWidget(widget, 1 if number == wide else 0)
        self.rows.addLayout(row)

    def add(self, *widgets: QWidget) -> None:
        """Add widgets below each other."""
        for widget in widgets:
            self.rows.addWidget(widget)
