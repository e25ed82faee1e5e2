"""One image being annotated: prompts, preview, accepted objects. What the dock shows, without Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, Protocol

import numpy as np
from psygnal import Signal

from naslora_trainer.errors import UserError
from naslora_trainer.mask_prompt import mask_logits
from naslora_trainer.prompts import Prediction, Prompts

from ..store import edits
from ..store.annotations import changed_elsewhere
from ..store.automatic import acceptance, by_hand
from ..store.edits import Edit, Window
from ..store.records import Annotation, ObjectInfo, Review, Source, now, person
from ..store.steps import Step, StepFiles
from .history import History
from .pieces import clicks_on, parts_of
from .refining import from_object, refining
from .saving import EditStore, Saving
from .tidy import tidied

Overlap = Literal["keep", "overwrite", "background"]


class ObjectStore(EditStore, Protocol):
    """Where accepted objects are kept; :class:`naslora_napari.store.Project` is one."""

    @property
    def steps(self) -> StepFiles: ...


class AnnotationSession:
    """The image that is open, what the person asks of it, and what was accepted.

    Nothing here waits for a model: :meth:`set_prompts` says what is asked, whoever asks the model calls :meth:`show`
    with the answer. A change of objects is in the store before its method returns, or waits in :attr:`saving` where
    the disk is full, gone or read-only; when the store refuses it, prompts and objects are as they were. Every change
    of prompts or objects is one step of :attr:`history`, over all images.

    Parameters
    ----------
    store : ObjectStore
        The project.

    Attributes
    ----------
    name : str
        The open image; empty when there is none.
    labels : ndarray
        ``(H, W)`` int32: accepted objects; changed in place, after the store has saved.
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
        What can be taken back and done again; it is there again when the project is opened again.
    saving : Saving
        What could not be saved yet.
    """

    prompts_changed = Signal(Prompts)
    preview_changed = Signal(object)
    #: Objects changed: by which edit.
    labels_changed = Signal(Edit)

    def __init__(self, store: ObjectStore) -> None:
        self.saving = Saving(store)
        self.name = ""
        self._annotation = Annotation(np.zeros((0, 0), np.int32))
        self.prompts = Prompts()
        self.preview: Prediction | None = None
        self.class_id = 1
        self.overlap: Overlap = "keep"
        self.history = History(store.steps)
        self._candidate = 0
        #: The prompts that the preview answers.
        self._answered = Prompts()
        #: Prompts of images that were left before they were accepted.
        self._unfinished: dict[str, Prompts] = {}
        for step, side in ((self.history.to_redo, 0), (self.history.to_undo, 1)):  # of the last time
            if step is not None:
                self._unfinished[step.image] = step.prompts[side]
        #: Labels of other images, of which not all is saved.
        self._left: dict[str, Annotation] = {}

    @property
    def labels(self) -> np.ndarray:
        """Accepted objects, ``(H, W)`` int32."""
        return self._annotation.labels

    @property
    def annotation(self) -> Annotation:
        """Labels and objects as they are now; not to be changed."""
        return self._annotation

    @property
    def objects(self) -> Mapping[int, ObjectInfo]:
        """How they came about."""
        return self._annotation.objects

    def open(self, name: str, annotation: Annotation) -> None:
        """Make an image of the store the current one, with the prompts that were left there.

        Parameters
        ----------
        name : str
            The image.
        annotation : Annotation
            What the store has of it (reading it may take long, and is for a worker); the session changes it.
        """
        if self.name:
            self._unfinished[self.name] = self.prompts
            self._left[self.name] = self._annotation
        annotation = self.waiting(name) or annotation
        self._left = {image: left for image, left in self._left.items() if image in self.saving.images}
        self.name = name
        self._annotation = annotation
        self._preview(None)  # it is a mask of the image before
        self._show_prompts(self._unfinished.pop(name, Prompts()))

    def waiting(self, name: str) -> Annotation | None:
        """Return the labels of an image of which not all is in the store; None where the store has all."""
        if name not in self.saving.images:
            return None
        return self._annotation if name == self.name else self._left[name]

    # Prompts and their answer

    def set_prompts(self, prompts: Prompts) -> None:
        """Say what is asked; an empty prompt takes the preview away.

        More clicks on the same object go on from the mask that is shown (see :mod:`naslora_napari.live.refining`).
        """
        prompts = self.asked(prompts)
        if prompts is not self.prompts:
            self.history.add(Step(self.name, (self.prompts, prompts), edits.NOTHING))
        self._show_prompts(prompts)

    def asked(self, prompts: Prompts) -> Prompts:
        """Return what the model is asked when these are the prompts: they, with the mask that they go on from."""
        same = prompts == self.prompts
        return self.prompts if same else refining(prompts, self.prompts, self._answered, self.preview)

    def show(self, prediction: Prediction) -> None:
        """Take the model's answer, unless nothing is asked any more or it does not lie inside the image."""
        if self.prompts.empty or not edits.inside(prediction.mask.shape, prediction.offset, self.labels.shape):
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
            clicks = clicks_on(self.preview.mask.shape, self.preview.offset, asked)
            mask = tidied(self.preview.mask, clicks)
            self._preview(replace(self.preview, mask=mask, low_res=mask_logits(mask), seen=None))

    def discard(self) -> None:
        """Forget prompts and preview."""
        self.set_prompts(Prompts())

    # Objects

    def accept(self) -> int:
        """Make the preview an object, on disk when this returns or in :attr:`saving`, and return its id.

        Raises
        ------
        UserError
            There is no preview, it has no free pixel, or the store refuses it.
        """
        if self.preview is None:
            raise UserError("There is no mask to accept.", "Click on an object or draw a box around it first.")
        prompts = replace(self.prompts, mask=None, mask_region=None)
        info = self._info("prompt", model=self.preview.version, prompts=prompts)
        over, mask, offset = self.overlap == "overwrite", self.preview.mask, self.preview.offset
        edit, key = edits.new_object(self._annotation, self.name, mask, info, offset, over)
        self._commit(edit, Prompts())
        return key

    def place(
        self, name: str, annotation: Annotation, found: Prediction, asked: Prompts, class_id: int, wanted: int
    ) -> int:
        """Make an answer an object of another image, or of this one, as one step; return its id.

        Parameters
        ----------
        name, annotation : str, Annotation
            The image, and what the store has of it.
        found, asked : Prediction, Prompts
            The answer and what it answers. Other objects keep their pixels.
        class_id, wanted : int
            Its class, and its id where that is free.

        Raises
        ------
        UserError
            It has no free pixel, or the store refuses it.
        """
        prompts = replace(asked, mask=None, mask_region=None)
        info = replace(self._info("prompt", model=found.version, prompts=prompts), class_id=class_id)
        old = self._annotation if name == self.name else self.waiting(name) or annotation
        edit, key = edits.new_object(old, name, found.mask, info, found.offset, wanted=wanted)
        if name == self.name:
            self._commit(edit)
        else:
            self.saving.save(name, edit)
            if name in self.saving.images:
                edits.apply(old, edit)
                self._left[name] = old
            self.history.add(Step(name, (Prompts(), Prompts()), edit))
        return key

    def delete(self, key: int) -> None:
        """Remove an object.

        Raises
        ------
        UserError
            There is no such object, or the store refuses it.
        """
        self._commit(edits.without_object(self._annotation, self.name, key))

    def reopen(self, key: int) -> None:
        """Make an object a proposal again, with the prompts it came from, or its box and its mask if it has none.

        Raises
        ------
        UserError
            There is no such object, or the store refuses it.
        """
        edit = edits.without_object(self._annotation, self.name, key)
        info = self.objects[key]
        self.class_id = info.class_id
        own = info.prompts is not None and not info.prompts.empty
        self._commit(edit, info.prompts if own else from_object(edit.rows, edit.cols))

    def set_class(self, key: int, class_id: int) -> None:
        """Give an object another class.

        Raises
        ------
        UserError
            There is no such object or class, or the store refuses it.
        """
        self._commit(edits.with_class(self._annotation, self.name, key, class_id))

    def set_review(self, key: int, review: Review) -> None:
        """Say what the person thinks of an object after another look: ``reviewed``, ``doubtful``, or empty.

        Raises
        ------
        UserError
            There is no such object, or the store refuses it.
        """
        self._commit(edits.with_review(self._annotation, self.name, key, review))

    def accept_automatic(self, *keys: int) -> int:
        """Accept objects that a model found: those of ``keys``, or all that wait, as one step; return how many.

        Raises
        ------
        UserError
            The store refuses it.
        """
        edit = acceptance(self._annotation, set(keys) if keys else None)
        if not edit.empty:
            self._commit(edit)
        return len(edit.objects)

    def merge(self, first: int, second: int) -> None:
        """Make the second object a part of the first one, whose id, class and provenance stay.

        Raises
        ------
        UserError
            There is no such object, they are the same, or the store refuses it.
        """
        self._commit(by_hand(self._annotation, edits.merged(self._annotation, self.name, first, second)))

    def split(self, key: int) -> tuple[int, ...]:
        """Split an object into its connected parts, or else where it is narrow, and return the ids of the parts.

        Two or more positive clicks of the prompts inside it say where its parts are, and are used up. The largest part
        keeps the id, all keep class and provenance.

        Raises
        ------
        UserError
            There is no such object, it has no parts, or the store refuses it.
        """
        rows, cols = edits.pixels_of(self._annotation, self.name, key)
        parts, asked = parts_of(rows, cols, self.prompts)
        if parts.max() < 2:
            raise UserError(
                f"Object {key} has no narrow place where it could be split.",
                "Click once on each of its parts, then split it again.",
            )
        edit = by_hand(self._annotation, edits.parted(self._annotation, self.name, key, parts), key)
        self._commit(edit, Prompts() if asked else None)
        return key, *(new for new in edit.objects if new != key)

    def brush(self, labels: np.ndarray, window: Window | None = None) -> tuple[int, ...]:
        """Store the plane as the person painted it and return the ids that changed.

        Parameters
        ----------
        labels : ndarray
            ``(H, W)`` whole numbers of 0 or more.
        window : tuple of slice
            Rows and columns in which something was painted; None: anywhere.

        Raises
        ------
        UserError
            The store refuses it, or the plane holds no labels.
        """
        edit = by_hand(
            self._annotation, edits.painted(self._annotation, self.name, labels, self._info("brush"), window)
        )
        if not edit.empty:
            self.saving.save(self.name, edit)
            edits.apply(self._annotation, edit)
            self.history.add(Step(self.name, (self.prompts, self.prompts), edit))
        return edit.ids

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
            The store refuses the step, or the labels were changed elsewhere; nothing happens then.
        """
        step = self.history.to_undo
        if step is not None and step.image == self.name:
            self._go(step.reversed())
            self.history.undone()

    def redo(self) -> None:
        """Do again what was taken back last. Its image has to be open.

        Raises
        ------
        UserError
            As for :meth:`undo`.
        """
        step = self.history.to_redo
        if step is not None and step.image == self.name:
            self._go(step)
            self.history.redone()

    # Inside

    def _commit(self, edit: Edit, prompts: Prompts | None = None) -> None:
        """Save an edit with other prompts (None: the same) as one step, then show it."""
        step = Step(self.name, (self.prompts, self.prompts if prompts is None else prompts), edit)
        self.saving.save(self.name, edit)
        self.history.add(step)
        self._show(step)

    def _go(self, step: Step) -> None:
        """Go one step back or forth, unless the labels are not what they were then."""
        if not edits.fits(self._annotation, step.edit):
            raise changed_elsewhere(self.name)
        if not step.edit.empty:
            self.saving.save(self.name, step.edit)
        self._show(step)

    def _show(self, step: Step) -> None:
        """Take over a step that is saved."""
        edits.apply(self._annotation, step.edit)
        if step.prompts[1] != self.prompts:
            if not step.edit.empty:
                self._preview(None)  # it is the mask of another object
            self._show_prompts(step.prompts[1])
        if not step.edit.empty:
            self.labels_changed.emit(step.edit)

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
        return ObjectInfo(self.class_id, source, model, now(), person(), prompts)
