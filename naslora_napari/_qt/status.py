"""What the person can do, what the program does, and which model answers: the top of the dock."""

from __future__ import annotations

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QFrame, QProgressBar, QVBoxLayout

from .widgets import wrapped

#: What is done sooner, in ms, does not light the bar.
SHORT_MS = 150
BAR_HEIGHT = 4


class Status(QFrame):
    """Two texts of a steady height and a thin bar that moves while something is done."""

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.message, self.model = wrapped(), wrapped()
        self.message.setMinimumHeight(2 * self.message.fontMetrics().lineSpacing())
        self.message.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(BAR_HEIGHT)
        self._light = QTimer(self, singleShot=True, interval=SHORT_MS)
        self._light.timeout.connect(lambda: self.bar.setRange(0, 0))
        self.show_busy(False)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(6, 6, 6, 4)
        rows.setSpacing(3)
        for widget in (self.message, self.model, self.bar):
            rows.addWidget(widget)

    def show_busy(self, busy: bool) -> None:
        """Let the bar move, unless that is over in a moment."""
        if not busy:
            self._light.stop()
            self.bar.setRange(0, 1)
            self.bar.setValue(0)
        elif not self._light.isActive() and self.bar.maximum() > 0:
            self._light.start()
