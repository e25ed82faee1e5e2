"""One image being annotated: prompts, preview, accepted objects. What the dock shows, without Qt."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np
from psygnal import Signal

from naslora_trainer.errors import UserError
from naslora_trainer.prompts import Prediction, Prompts

from ..store.records import Annotation, ObjectInfo


class ObjectStore(Protocol):
    """Where accepted objects are kept; :class:`naslora_napari.store.Project` is one."""

    def read_image(self, name: str) -> np.ndarray: ...

    def annotation(self, name: str) -> Annotation: ...

    def add_object(self, name: str, mask: np.ndarray, info: ObjectInfo) -> int: ...

    def remove_object(self, name: str, id: int) -> None: ...

    def save_labels(self, name: str, labels: np.ndarray, info: ObjectInfo) -> None: ...


class AnnotationSession:
    """The image that is open, what the person asks of it, and what was accepted.

    Nothing here waits for a model: :meth:`set_prompts` says what is asked, whoever asks the model calls :meth:`show`
    with the answer. An accepted object is in the store before :meth:`accept` returns; when the store fails, prompts and
    preview are as they were.

    Parameters
    ----------
    store : ObjectStore
        The project.

    Attributes
    ----------
    name : str
        The open image; empty when there is none.
    labels : ndarray
        ``(H, W)`` int32: accepted objects.
    objects : mapping of int to ObjectInfo
        How they came about.
    prompts : Prompts
        For the object that is being made.
    preview : Prediction or None
        The newest answer to them.
    class_id : int
        Class of the next object.
    """

    prompts_changed = Signal(Prompts)
    preview_changed = Signal(object)
    #: Labels changed: the ids of the objects that are new, gone or another shape.
    labels_changed = Signal(tuple)

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.name = ""
        self.labels = np.zeros((0, 0), np.int32)
        self.objects: Mapping[int, ObjectInfo] = {}
        self.prompts = Prompts()
        self.preview: Prediction | None = None
        self.class_id = 1
        self._accepted: list[tuple[int, Prompts, Prediction]] = []

    def open(self, name: str, annotation: Annotation) -> None:
        """Make an image of the store the current one.

        Parameters
        ----------
        name : str
            The image.
        annotation : Annotation
            What the store has of it (reading it may take long, and is for a worker).
        """
        self.name = name
        self.labels = annotation.labels
        self.objects = annotation.objects
        self._accepted.clear()
        self.discard()
        self.labels_changed.emit(tuple(self.objects))

    def set_prompts(self, prompts: Prompts) -> None:
        """Say what is asked; an empty prompt takes the preview away."""
        self.prompts = prompts
        if prompts.empty and self.preview is not None:
            self.preview = None
            self.preview_changed.emit(None)
        self.prompts_changed.emit(prompts)

    def show(self, prediction: Prediction) -> None:
        """Take the model's answer, unless nothing is asked any more."""
        if self.prompts.empty or prediction.mask.shape != self.labels.shape:
            return
        self.preview = prediction
        self.preview_changed.emit(prediction)

    def accept(self) -> int:
        """Make the preview an object, on disk when this returns, and return its id. Other objects keep their pixels.

        Raises
        ------
        UserError
            There is no preview, it has no free pixel, or it could not be saved.
        """
        if self.preview is None:
            raise UserError("There is no mask to accept.", "Click on an object or draw a box around it first.")
        free = self.preview.mask & (self.labels == 0)
        if not free.any():
            raise UserError(
                "The mask covers no free pixel: the object there is accepted already.",
                "Click on another object, or erase the one that is there.",
            )
        info = ObjectInfo(
            class_id=self.class_id,
            source="prompt",
            model=self.preview.version,
            annotator=_annotator(),
            prompts=replace(self.prompts, mask=None),
        )
        key = self._store.add_object(self.name, free, info)
        self._accepted.append((key, self.prompts, self.preview))
        self.labels[free] = key
        self.objects = {**self.objects, key: info}
        self.discard()
        self.labels_changed.emit((key,))
        return key

    def discard(self) -> None:
        """Forget prompts and preview."""
        self.preview = None
        self.set_prompts(Prompts())
        self.preview_changed.emit(None)

    @property
    def can_undo(self) -> bool:
        """True when there is a prompt or an accept to take back."""
        return bool(self.prompts.points or self.prompts.box is not None or self._accepted)

    def undo(self) -> int | None:
        """Take back the last prompt, or else the last accept, whose prompts and preview then come back.

        Returns
        -------
        int or None
            Id of the object that is gone again.

        Raises
        ------
        UserError
            The store could not be written; the object stays.
        """
        prompts = self.prompts
        if prompts.points:
            self.set_prompts(replace(prompts, points=prompts.points[:-1], labels=prompts.labels[:-1]))
            return None
        if prompts.box is not None:
            self.discard()
            return None
        return self._undo_accept()

    def _undo_accept(self) -> int | None:
        while self._accepted and self._accepted[-1][0] not in self.objects:
            self._accepted.pop()  # erased by hand since
        if not self._accepted:
            return None
        key, prompts, preview = self._accepted[-1]
        self._store.remove_object(self.name, key)
        self._accepted.pop()
        self.labels[self.labels == key] = 0
        self.objects = {i: info for i, info in self.objects.items() if i != key}
        self.set_prompts(prompts)
        self.show(preview)
        self.labels_changed.emit((key,))
        return key

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
        changed = tuple(
            int(i) for i in np.union1d(labels[labels != self.labels], self.labels[labels != self.labels]) if i
        )
        if not changed:
            return ()
        self.labels = labels.astype(np.int32)
        info = ObjectInfo(class_id=self.class_id, source="brush", annotator=_annotator())
        try:
            self._store.save_labels(self.name, self.labels, info)
        finally:
            present = {int(i) for i in np.unique(self.labels) if i}
            self.objects = {i: self.objects.get(i, info) for i in present}
        return changed


def _annotator() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
