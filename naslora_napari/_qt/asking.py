"""What the model is asked: to look at an image, and to answer the prompts on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from naslora_trainer.prompts import Box, Prediction, Prompts

from ..live import AnnotationSession
from ..live.answers import Answers
from .drawing import Drawing

if TYPE_CHECKING:
    from naslora_trainer.pictures import Picture

    from .dock import NasLoraDock

#: Of a model that took no longer for its last answer, in seconds, the next one is awaited before anything is drawn.
SOON_S = 0.15


class Asking(QObject):
    """Carries prompts from the canvas to the model, and its answers back.

    Parameters
    ----------
    dock : NasLoraDock
        Has the canvas, the session, the predictor and its thread.
    """

    def __init__(self, dock: NasLoraDock) -> None:
        super().__init__(dock)
        self._dock = dock
        self._picture: Picture | None = None
        self._answers = Answers(dock.predictor)
        self.drawing = Drawing(self)
        self.drawing.pressed.connect(self._on_pressed)
        self.drawing.released.connect(dock.show_state)
        dock.canvas.prompts_edited.connect(self._on_prompts_edited)
        dock.canvas.looked_at.connect(self._on_look)
        dock.canvas.contrast_chosen.connect(self._on_contrast)

    def use(self, session: AnnotationSession) -> None:
        """Answer the prompts of a session."""
        session.prompts_changed.connect(self._on_prompts)
        session.preview_changed.connect(self._on_preview)

    def prepare(self, name: str, picture: Picture) -> None:
        """Let the model look at an image, in its thread."""
        self._picture = picture
        dock = self._dock
        dock.model_tasks.run(
            lambda: dock.predictor.set_image(picture),
            lambda _: self._on_encoded(name),
            dock.failed,
            doing="preparing the image",
        )

    def ask(self) -> None:
        """Answer the current prompts in the model's thread; only the newest waiting question counts."""
        dock, session = self._dock, self._dock.session
        if session is None or session.prompts.empty or not dock.predictor.is_ready:
            return
        asked, name = session.prompts, session.name

        def still_asked() -> bool:
            return session is dock.session and session.name == name and session.prompts == asked

        def answered(prediction: Prediction) -> None:
            if still_asked():
                session.show(prediction)

        def refused(error: BaseException) -> None:
            self.drawing.release()
            if still_asked():
                dock.failed(error)

        dock.model_tasks.run(lambda: self._answers.ask(asked), answered, refused, topic="answer", doing="answering")

    def ask_ahead(self, asked: Prompts, then: Callable[[Prediction], None], topic: str, idle: bool = False) -> None:
        """Answer what the person may be about to ask; the answer is kept for :meth:`ask`. Nobody is told of errors."""
        self._dock.model_tasks.run(
            lambda: self._answers.ask(asked), then, failed=lambda error: None, topic=topic, idle=idle
        )

    def _on_pressed(self, negative: bool) -> None:
        """Answer the click that a press may become: it is one when the button goes up where it went down."""
        dock, session = self._dock, self._dock.session
        clicked = dock.canvas.prompts_if_clicked(negative) if session is not None and dock.predictor.is_ready else None
        if clicked is not None and not clicked.empty:
            assert session is not None
            self.ask_ahead(session.asked(clicked), lambda found: None, "click")

    def _on_prompts_edited(self, prompts: Prompts) -> None:
        if self._dock.session is not None:
            self._dock.session.set_prompts(prompts)

    def _on_prompts(self, prompts: Prompts) -> None:
        self._dock.forget_failure()
        if self._answers_soon(prompts):
            self.drawing.hold()  # one frame shows the prompts and the answer
        self.ask()  # the model then works while they are drawn
        self._dock.hover.clear()
        self._dock.canvas.show_prompts(prompts)
        self._dock.show_state()

    def _answers_soon(self, prompts: Prompts) -> bool:
        predictor = self._dock.predictor
        return predictor.is_ready and not prompts.empty and 0 < predictor.predict_seconds <= SOON_S

    def _on_preview(self, prediction: Prediction | None) -> None:
        self._dock.canvas.show_preview(prediction)
        if self.drawing.held:
            self.drawing.release()
        else:
            self._dock.show_state()
        self._dock.previewChanged.emit()

    def _on_encoded(self, name: str) -> None:
        self.ask()
        self._dock.imageReady.emit(name)

    def _on_look(self, visible: Box) -> None:
        """Let the model look at what is visible of a large image, before the person clicks there."""
        self._dock.predictor.visible = visible
        self._dock.model_tasks.run(self._dock.predictor.prepare, topic="look", idle=True)

    def _on_contrast(self, limits: tuple[float, float]) -> None:
        """Let the model see the contrast that the person chose, now and in the next training."""
        project, session = self._dock.project, self._dock.session
        if project is None or session is None or self._picture is None or limits == self._picture.limits:
            return
        if not project.read_only:
            name = session.name
            self._dock.file_tasks.run(lambda: project.set_limits(name, limits), failed=self._dock.failed)
        self.prepare(session.name, replace(self._picture, limits=limits))
