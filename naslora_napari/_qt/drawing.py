"""The widget that napari draws into: what Qt tells of it before napari hears of it, and when it is drawn."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, QTimer, Signal
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QWidget

#: For no longer than this, in ms, is a frame held back.
HOLD_MS = 150


class Drawing(QObject):
    """Watches the canvas of a window, and holds its frames back for a moment.

    Parameters
    ----------
    parent : QObject
        Owner.

    Attributes
    ----------
    held : bool
        Whether nothing is drawn now.
    """

    #: A mouse button went down, which napari hears of later; whether it is the right one, or Shift is held.
    pressed = Signal(bool)
    #: What was held back is drawn.
    released = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.held = False
        self._widget: QOpenGLWidget | None = None
        self._limit = QTimer(self, singleShot=True, interval=HOLD_MS)
        self._limit.timeout.connect(self.release)

    def watch(self, window: QWidget) -> None:
        """Watch the canvas in a window."""
        widget = window.findChild(QOpenGLWidget)
        if widget is not self._widget and widget is not None:
            self._widget = widget
            widget.installEventFilter(self)
            widget.destroyed.connect(self._forget)

    def hold(self) -> None:
        """Draw nothing until :meth:`release`, which comes by itself after :data:`HOLD_MS`.

        Without a graphics card a frame takes the processor from the model, which is about to give what is drawn next.
        """
        if self._widget is not None:
            self.held = True
            self._widget.setUpdatesEnabled(False)
            self._limit.start()

    def release(self) -> None:
        """Draw what was held back."""
        self._limit.stop()
        if self.held:
            self.held = False
            if self._widget is not None:
                self._widget.setUpdatesEnabled(True)
            self.released.emit()

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Tell of a mouse button that goes down."""
        if event.type() == QEvent.Type.MouseButtonPress:
            right = event.button() == Qt.MouseButton.RightButton
            self.pressed.emit(right or bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))
        return False

    def _forget(self) -> None:
        self._widget = None
