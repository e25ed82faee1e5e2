"""An object is followed through the planes of a stack or series, plane after plane, while the window lives on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from naslora_trainer.prompts import Prediction, Prompts

from ..live.propagation import Outline, planes_after, prompts_for_next, why_it_ends
from ..store.edits import pixels_of
from .notify import report, tell

if TYPE_CHECKING:
    from ..live import AnnotationSession
    from ..store import Annotation
    from .dock import NasLoraDock


class Following(QObject):
    """Follows one object at a time.

    Parameters
    ----------
    dock : NasLoraDock
        Has the project, the session, the predictor and its thread.
    """

    def __init__(self, dock: NasLoraDock) -> None:
        super().__init__(dock)
        self._dock = dock
        self._left: list[str] = []
        self._key = self._class = self._done = 0
        self._last: Outline | None = None

    @property
    def running(self) -> bool:
        """True until the object has ended, or the person ended it."""
        return self._last is not None

    def start(self, step: int) -> None:
        """Follow the object under the mouse to the planes after this one (``step`` 1) or before it (-1)."""
        session, project = self._dock.session, self._dock.project
        if session is None or project is None or self.running:
            return
        self._dock.canvas.flush()
        key = self._dock.canvas.object_under_pointer()
        if key not in session.objects:
            return tell("There is no accepted object under the mouse. Move it over one and press the key again.")
        self._left = planes_after(project.images, session.name, step)
        if not self._left:
            return tell("There is no further plane: only objects in stacks and series can be followed.")
        rows, cols = pixels_of(session.annotation, session.name, key)
        self._key, self._class, self._done = key, session.objects[key].class_id, 0
        self._last = Outline(rows, cols, session.labels.shape[1])
        self._next(session)

    def stop(self) -> None:
        """End it here; what was accepted stays, and can be taken back step by step."""
        if self.running:
            self._end("you ended it")

    def _next(self, session: AnnotationSession) -> None:
        """Ask about the next plane."""
        project, predictor, last = self._dock.project, self._dock.predictor, self._last
        if not self._left:
            return self._end("that is the last plane")
        assert project is not None and last is not None
        name = self._left.pop(0)

        def ask() -> tuple[Annotation, Prompts, Prediction]:
            picture = project.picture(name)
            asked = prompts_for_next(last, picture.shape)
            return session.waiting(name) or project.annotation(name), asked, predictor.predict_on(picture, asked)

        self._dock.model_tasks.run(
            ask,
            lambda found: self._take(session, name, *found),
            self._failed,
            doing=f"following the object to {name}",
        )

    def _take(
        self, session: AnnotationSession, name: str, annotation: Annotation, asked: Prompts, found: Prediction
    ) -> None:
        """Accept the object on a plane, unless it has ended."""
        if self._last is None:
            return
        if session is not self._dock.session:
            return self._end("another project was opened")
        outline = Outline.of(found, annotation.labels.shape[1])
        taken = int((annotation.labels[outline.rows, outline.cols] > 0).sum())
        reason = why_it_ends(self._last, outline, found.score, taken)
        if reason:
            return self._end(f"on {name} {reason}")
        session.place(name, annotation, found, asked, self._class, self._key)
        self._last, self._done = outline, self._done + 1
        self._dock.show_counts()
        self._next(session)

    def _failed(self, error: BaseException) -> None:
        self._last = None
        report(error)

    def _end(self, reason: str) -> None:
        self._last, self._left = None, []
        planes = "1 plane" if self._done == 1 else f"{self._done} planes"
        tell(f"Object {self._key} was followed over {planes}: {reason}.")
        self._dock.show_state()
