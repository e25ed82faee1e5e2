"""One image being annotated: prompts, preview, accepted objects. What the dock shows, without Qt."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, Protocol

import numpy as np
from psygnal import Signal

from naslora_trainer.errors import UserError
from naslora_trainer.mask_prompt import mask_logits
from naslora_trainer.prompts import Prediction, Prompts

from ..store import edits
from ..store.records import Annotation, ObjectInfo, Source, now
from .history import Change, History, State
from .refining import from_object, refining
from .tidy import tidied

Overlap = Literal["keep", "overwrite", "background"]


class ObjectStore(Protocol):
    """Where accepted objects are kept; :class:`naslora_napari.store.Project` is one."""

    def read_image(self, name: str) -> np.ndarray: ...

    def annotation(self, name: str) -> Annotation: ...

    def save(self, name: str, labels: np.ndarray, objects: Mapping[int, ObjectInfo]) -> None: ...


class AnnotationSession:
    """The image that is open, what the person asks of it, and what was accepted.

    Nothing here waits for a model: :meth:`set_prompts` says what is asked, whoever asks the model calls :meth:`show`
    with the answer. A change of objects is in the store before its method returns; when the store fails, prompts and
    objects are as they were. Every change of prompts or objects is one step of :attr:`history`, over all images.

    Parameters
    ----------
    store : ObjectStore
        The project.

    Attributes
    ----------
    name : str
        The open image; empty when there is none.
    labels : ndarray
        ``(H, W)`` int32: accepted objects. Never changed in place.
    objects : mapping of int to ObjectInfo
        How they came about.
    prompts : Prompts
        For the object that is being made.
    preview : Prediction or None
        The newest answer to them, with the candidate mask that is chosen.
    class_id : int
        Class of the next object.
    overlap : str
        What happens where a new object meets others: ``keep`` (they keep their pixels), ``overwrite``, or
        ``background`` (they keep them, from the brush as well).
    history : History
        What can be taken back and done again.
    """

    prompts_changed = Signal(Prompts)
    preview_changed = Signal(object)
    #: Objects changed: the ids of those that are new, gone, or another shape or class.
    labels_changed = Signal(tuple)

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.name = ""
        self.labels = np.zeros((0, 0), np.int32)
        self.objects: Mapping[int, ObjectInfo] = {}
        self.prompts = Prompts()
        self.preview: Prediction | None = None
        self.class_id = 1
        self.overlap: Overlap = "keep"
        self.history = History()
        self._candidate = 0
        #: The prompts that the preview answers.
        self._answered = Prompts()
        #: Prompts of images that were left before they were accepted.
        self._unfinished: dict[str, Prompts] = {}

    def open(self, name: str, annotation: Annotation) -> None:
        """Make an image of the store the current one, with the prompts that were left there.

        Parameters
        ----------
        name : str
            The image.
        annotation : Annotation
            What the store has of it (reading it may take long, and is for a worker).
        """
        if self.name:
            self._unfinished[self.name] = self.prompts
        self.name = name
        self.labels = annotation.labels
        self.objects = annotation.objects
        self._preview(None)  # it is a mask of the image before
        self._show_prompts(self._unfinished.pop(name, Prompts()))
        self.labels_changed.emit(tuple(self.objects))

    # Prompts and their answer

    def set_prompts(self, prompts: Prompts) -> None:
        """Say what is asked; an empty prompt takes the preview away.

        More clicks on the same object go on from the mask that is shown (see :mod:`naslora_napari.live.refining`).
        """
        if prompts == self.prompts:
            prompts = self.prompts  # with the mask they go on from
        else:
            prompts = refining(prompts, self.prompts, self._answered, self.preview)
            self.history.add(Change.between(self.name, self._state(), self._state(prompts=prompts)))
        self._show_prompts(prompts)

    def show(self, prediction: Prediction) -> None:
        """Take the model's answer, unless nothing is asked any more."""
        if self.prompts.empty or prediction.mask.shape != self.labels.shape:
            return
        self._candidate = 0
        self._answered = self.prompts
        self._preview(prediction)

    def next_candidate(self) -> None:
        """Show the next of the candidate masks in the model's answer; after the last one the best comes again."""
        if self.preview is None or len(self.preview.candidates) < 2:
            return
        self._candidate = (self._candidate + 1) % len(self.preview.candidates)
        mask, score = self.preview.candidates[self._candidate], float(self.preview.scores[self._candidate])
        self._preview(replace(self.preview, mask=mask, score=score, low_res=mask_logits(mask)))

    def tidy(self) -> None:
        """Take specks, holes and ragged edges out of the preview (see :func:`naslora_napari.live.tidy.tidied`)."""
        if self.preview is not None:
            asked = self.prompts.checked(self.labels.shape).as_clicks()  # type: ignore[arg-type]
            clicks = [p for p, label in zip(asked.points, asked.labels, strict=True) if label]
            mask = tidied(self.preview.mask, clicks)
            self._preview(replace(self.preview, mask=mask, low_res=mask_logits(mask)))

    def discard(self) -> None:
        """Forget prompts and preview."""
        self.set_prompts(Prompts())

    # Objects

    def accept(self) -> int:
        """Make the preview an object, on disk when this returns, and return its id.

        Raises
        ------
        UserError
            There is no preview, it has no free pixel, or it could not be saved.
        """
        if self.preview is None:
            raise UserError("There is no mask to accept.", "Click on an object or draw a box around it first.")
        overwrite = self.overlap == "overwrite" and bool(self.preview.mask.any())
        if not overwrite and not (self.preview.mask & (self.labels == 0)).any():
            raise UserError(
                "The mask covers no free pixel: the object there is accepted already.",
                "Click on another object, or erase the one that is there.",
            )
        info = self._info(
            "prompt", model=self.preview.version, prompts=replace(self.prompts, mask=None, mask_region=None)
        )
        new, key = edits.with_object(self._annotation(), self.name, self.preview.mask, info, overwrite)
        self._commit(State(new.labels, new.objects, Prompts()))
        return key

    def delete(self, key: int) -> None:
        """Remove an object.

        Raises
        ------
        UserError
            There is no such object, or it could not be saved.
        """
        new = edits.without_object(self._annotation(), self.name, key)
        self._commit(State(new.labels, new.objects, self.prompts))

    def reopen(self, key: int) -> None:
        """Make an object a proposal again, with the prompts it came from, or its box and its mask if it has none.

        Raises
        ------
        UserError
            There is no such object, or it could not be saved.
        """
        new = edits.without_object(self._annotation(), self.name, key)
        info, mask = self.objects[key], self.labels == key
        asked = info.prompts if info.prompts is not None and not info.prompts.empty else from_object(mask)
        self.class_id = info.class_id
        self._commit(State(new.labels, new.objects, asked))

    def set_class(self, key: int, class_id: int) -> None:
        """Give an object another class.

        Raises
        ------
        UserError
            There is no such object or class, or it could not be saved.
        """
        new = edits.with_class(self._annotation(), self.name, key, class_id)
        self._commit(State(new.labels, new.objects, self.prompts))

    def brush(self, labels: np.ndarray) -> tuple[int, ...]:
        """Store the plane as the person painted it and return the ids that changed.

        Parameters
        ----------
        labels : ndarray
            ``(H, W)`` whole numbers of 0 or more.

        Raises
        ------
        UserError
            It could not be saved; the session keeps what was painted, so that the next stroke saves both.
        """
        if np.array_equal(labels, self.labels):
            return ()
        new = edits.with_plane(self._annotation(), self.name, labels, self._info("brush"))
        state = State(new.labels, new.objects, self.prompts)
        change = Change.between(self.name, self._state(), state)
        try:
            self._store.save(self.name, state.labels, state.objects)
        finally:
            self.history.add(change)
            self.labels, self.objects = state.labels, state.objects
        return change.ids

    # Back and forth

    @property
    def undo_image(self) -> str:
        """Name of the image of the step that is taken back next; empty if there is none."""
        return self.history.to_undo.image if self.history.to_undo else ""

    @property
    def redo_image(self) -> str:
        """Name of the image of the step that is done again next; empty if there is none."""
        return self.history.to_redo.image if self.history.to_redo else ""

    def undo(self) -> None:
        """Take back the last step: a prompt, an accept, a stroke, anything. Its image has to be open.

        Raises
        ------
        UserError
            The step cannot be saved, or the labels were changed elsewhere; nothing happens then.
        """
        change = self.history.to_undo
        if change is not None and change.image == self.name:
            self._apply(change.reversed())
            self.history.undone()

    def redo(self) -> None:
        """Do again what was taken back last. Its image has to be open.

        Raises
        ------
        UserError
            As for :meth:`undo`.
        """
        change = self.history.to_redo
        if change is not None and change.image == self.name:
            self._apply(change)
            self.history.redone()

    # Inside

    def _state(self, prompts: Prompts | None = None) -> State:
        return State(self.labels, self.objects, self.prompts if prompts is None else prompts)

    def _annotation(self) -> Annotation:
        return Annotation(self.labels, dict(self.objects))

    def _commit(self, state: State) -> None:
        """Save a new state as one step, then show it."""
        change = Change.between(self.name, self._state(), state)
        self._store.save(self.name, state.labels, state.objects)
        self.history.add(change)
        self._take(state, change.ids)

    def _apply(self, change: Change) -> None:
        """Go one step back or forth: save it, then show it."""
        state = change.applied(self._state())
        if change.ids:
            self._store.save(self.name, state.labels, state.objects)
        self._take(state, change.ids)

    def _take(self, state: State, ids: tuple[int, ...]) -> None:
        self.labels, self.objects = state.labels, state.objects
        if state.prompts != self.prompts:
            if ids:
                self._preview(None)  # it is the mask of another object
            self._show_prompts(state.prompts)
        if ids:
            self.labels_changed.emit(ids)

    def _show_prompts(self, prompts: Prompts) -> None:
        self.prompts = prompts
        if prompts.empty:
            self._preview(None)
        self.prompts_changed.emit(prompts)

    def _preview(self, prediction: Prediction | None) -> None:
        if prediction is not self.preview:
            self.preview = prediction
            self.preview_changed.emit(prediction)

    def _info(self, source: Source, model: str = "", prompts: Prompts | None = None) -> ObjectInfo:
        return ObjectInfo(self.class_id, source, model, now(), _annotator(), prompts)


def _annotator() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
