"""What the person can do, what the program does, and which model answers: the top of the dock."""

from __future__ import annotations

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QFrame, QVBoxLayout

from .colours import TROUBLE
from .widgets import Bar, wrapped

#: What is done sooner, in ms, is not told.
SHORT_MS = 400
BAR_HEIGHT = 4


class Status(QFrame):
    """Texts and a thin bar that moves while something is done; the red text is there only when something is wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.message, self.trouble, self.model = wrapped(), wrapped(), wrapped()
        self.trouble.setTextFormat(Qt.TextFormat.PlainText)
        self.follow_theme(self.palette())
        self.trouble.setVisible(False)
        self.message.setMinimumHeight(2 * self.message.fontMetrics().lineSpacing())
        self.message.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.bar = Bar()
        self.bar.setFixedHeight(BAR_HEIGHT)
        self._model = self._rests = self._doing = ""
        self._light = QTimer(self, singleShot=True, interval=SHORT_MS)
        self._light.timeout.connect(self._on_long)
        self.bar.show_part(0, 1, text=False)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(6, 6, 6, 4)
        rows.setSpacing(3)
        for widget in (self.message, self.trouble, self.model, self.bar):
            rows.addWidget(widget)

    def follow_theme(self, palette: QPalette) -> None:
        """Take a red that can be read on the window."""
        self.trouble.setStyleSheet(f"color: {TROUBLE.on(palette)}; font-weight: bold")

    def show_trouble(self, text: str) -> None:
        """Show what is wrong for as long as it is; empty: nothing."""
        if text != self.trouble.text():
            self.trouble.setText(text)
            self.trouble.setVisible(bool(text))

    def show_all(self, message: str, model: str, rests: str, doing: str) -> None:
        """Show what the person can do, which model answers, and what it does; what is over in a moment is not told.

        Parameters
        ----------
        message, model : str
            The two texts.
        rests, doing : str
            What is done while nothing keeps the model busy, and what it does now, after ``model``; empty: nothing.
        """
        self._model, self._rests, self._doing = model, rests, doing
        self.message.setText(message)
        if not doing:
            self._light.stop()
            self.bar.show_part(0, 1, text=False)
        elif not self._light.isActive() and not self.bar.waiting:
            self._light.start()
        self._show_model()

    def _on_long(self) -> None:
        self.bar.wait()
        self._show_model()

    def _show_model(self) -> None:
        doing = self._doing if self.bar.waiting else self._rests
        self.model.setText(f"{self._model}: {doing}" if doing else self._model)
