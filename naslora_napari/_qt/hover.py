"""The mask that a click would give, shown faintly where the mouse rests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from naslora_trainer.prompts import Point, Prediction, Prompts

from .planes import HOVERED

if TYPE_CHECKING:
    from .dock import NasLoraDock

#: So long the mouse rests before the model is asked, so that a click there is answered at once, in ms.
ASK_MS = 40
#: So long it rests before the answer is shown: what flickers under a mouse that is on its way disturbs.
REST_MS = 120
#: A model that takes longer for an answer, in seconds, would keep clicks waiting.
SLOW_S = 0.15


class Hover(QObject):
    """Asks the model about the place under the mouse, while nothing else is asked or done.

    What it shows is never in the session, so that it cannot be accepted.

    Parameters
    ----------
    dock : NasLoraDock
        Has the session, the predictor and the canvas.

    Attributes
    ----------
    enabled : bool
        Whether the person wants it.
    """

    def __init__(self, dock: NasLoraDock) -> None:
        super().__init__(dock)
        self.enabled = True
        self._dock = dock
        self._point: Point | None = None
        self._found: tuple[Point, Prediction] | None = None
        self._shown: Prediction | None = None
        self._pause = QTimer(self, singleShot=True, interval=ASK_MS)
        self._pause.timeout.connect(self._ask)
        self._rest = QTimer(self, singleShot=True, interval=REST_MS)
        self._rest.timeout.connect(self._show)
        dock.viewer.mouse_move_callbacks.append(self._on_move)
        dock.viewer.events.mouse_over_canvas.connect(self._on_canvas)

    def enable(self, enabled: bool) -> None:
        """Switch it on or off."""
        self.enabled = enabled
        self.clear()

    def clear(self) -> None:
        """Take away what is shown, and forget what is asked."""
        self._pause.stop()
        self._rest.stop()
        self._point = self._found = None
        self._unshow()

    def close(self) -> None:
        """Let go of the viewer."""
        self.clear()
        if self._on_move in self._dock.viewer.mouse_move_callbacks:
            self._dock.viewer.mouse_move_callbacks.remove(self._on_move)
        self._dock.viewer.events.mouse_over_canvas.disconnect(self._on_canvas)

    def _on_move(self, viewer: Any, event: Any) -> None:
        point = self._dock.canvas.pixel_at(event.position) if self._wanted else None
        if point is None:
            self.clear()
            return
        self._point = point
        if self._shown is not None and not _covers(self._shown, point):
            self._unshow()
        self._pause.start()
        self._rest.start()

    def _on_canvas(self, event: Any = None) -> None:
        if not self._dock.viewer.mouse_over_canvas:
            self.clear()

    @property
    def _wanted(self) -> bool:
        """Whether a click could begin an object, with a model that is quick."""
        session, predictor = self._dock.session, self._dock.predictor
        ready = self.enabled and predictor.is_ready and predictor.predict_seconds <= SLOW_S
        return ready and self._dock.canvas.mode == "click" and session is not None and session.prompts.empty

    def _ask(self) -> None:
        point = self._point
        if point is None or not self._wanted or self._dock.canvas.object_under_pointer():
            self._unshow()
        elif self._dock.busy:
            self._pause.start()
        elif not (self._dock.training.running or self._dock.batching.running):
            asked = Prompts().with_click(point)
            self._dock.asking.ask_ahead(asked, lambda found: self._on_found(point, found), "hover", idle=True)

    def _on_found(self, point: Point, prediction: Prediction) -> None:
        self._found = point, prediction
        if not self._rest.isActive():
            self._show()

    def _show(self) -> None:
        """Show what was found where the mouse rests."""
        if self._found is not None and self._found[0] is self._point and self._wanted:
            self._shown = self._found[1]
            self._dock.canvas.show_preview(self._shown, HOVERED)

    def _unshow(self) -> None:
        if self._shown is not None:
            self._shown = None
            if self._dock.session is None or self._dock.session.preview is None:
                self._dock.canvas.show_preview(None)


def _covers(prediction: Prediction, point: Point) -> bool:
    """Return whether the mask of a prediction holds a ``point`` (row, col) of the image."""
    row, col = (round(at) - start for at, start in zip(point, prediction.offset, strict=True))
    height, width = prediction.mask.shape
    return 0 <= row < height and 0 <= col < width and bool(prediction.mask[row, col])
