"""Small pieces of the panels."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGroupBox, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget


def button(text: str, clicked: Callable[[], object], tooltip: str = "", checkable: bool = False) -> QPushButton:
    """Return a push button; ``clicked`` gets no argument."""
    made = QPushButton(text)
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
