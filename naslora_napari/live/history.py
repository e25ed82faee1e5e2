"""What a person did, step by step, to take it back and to do it again: one stack for all images of a project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from naslora_trainer.errors import UserError
from naslora_trainer.prompts import Prompts

from ..store.records import ObjectInfo

#: What all steps together may take in memory, in bytes; the oldest are forgotten first.
LIMIT = 256 * 2**20
#: Bytes of a step besides its pixels, roughly.
_OVERHEAD = 1024


@dataclass(frozen=True, eq=False)
class State:
    """One image at one moment: labels (H, W) int32, objects, and the prompts that are not accepted yet."""

    labels: np.ndarray
    objects: Mapping[int, ObjectInfo]
    prompts: Prompts


@dataclass(frozen=True, eq=False)
class Change:
    """One step on one image: only what differs, so that it can be applied in both directions.

    Attributes
    ----------
    image : str
        Name of the image.
    prompts : tuple of Prompts
        Before and after.
    objects : dict of int to tuple
        For each id that is new, gone or different: its record before and after, None where it is not there.
    pixels, before, after : ndarray
        (n,) flat indices of the pixels that differ, and their labels int32.
    """

    image: str
    prompts: tuple[Prompts, Prompts]
    objects: dict[int, tuple[ObjectInfo | None, ObjectInfo | None]]
    pixels: np.ndarray
    before: np.ndarray
    after: np.ndarray

    @classmethod
    def between(cls, image: str, old: State, new: State) -> Change:
        """Return what leads from ``old`` to ``new``."""
        pixels = np.flatnonzero(old.labels != new.labels) if old.labels is not new.labels else np.zeros(0, np.intp)
        ids = (key for key in {**old.objects, **new.objects} if old.objects.get(key) != new.objects.get(key))
        objects = {key: (old.objects.get(key), new.objects.get(key)) for key in ids}
        prompts = (old.prompts, new.prompts)
        return cls(image, prompts, objects, pixels, old.labels.flat[pixels], new.labels.flat[pixels])

    def reversed(self) -> Change:
        """Return the way back."""
        objects = {key: (after, before) for key, (before, after) in self.objects.items()}
        return Change(self.image, self.prompts[::-1], objects, self.pixels, self.after, self.before)

    def applied(self, state: State) -> State:
        """Return ``state`` with this change.

        Raises
        ------
        UserError
            The pixels are not what they were, since another program changed the labels.
        """
        labels = state.labels
        if len(self.pixels):
            if not np.array_equal(labels.flat[self.pixels], self.before):
                raise UserError(
                    f"The labels of image '{self.image}' were changed elsewhere, so this step cannot be taken back.",
                    "Correct the object by hand.",
                )
            labels = labels.copy()
            labels.flat[self.pixels] = self.after
        objects = {key: info for key, info in state.objects.items() if key not in self.objects}
        objects |= {key: after for key, (_, after) in self.objects.items() if after is not None}
        return State(labels, dict(sorted(objects.items())), self.prompts[1])

    @property
    def ids(self) -> tuple[int, ...]:
        """Objects that are new, gone, of another shape or of another record."""
        touched = set(np.unique(self.before)) | set(np.unique(self.after))
        return tuple(sorted({int(key) for key in touched if key} | set(self.objects)))

    @property
    def nbytes(self) -> int:
        """Memory that it takes, in bytes."""
        mask = self.prompts[1].mask
        carried = 0 if mask is None else mask.nbytes
        return self.pixels.nbytes + self.before.nbytes + self.after.nbytes + carried + _OVERHEAD


class History:
    """The steps that can be taken back, and those that can be done again.

    Parameters
    ----------
    limit : int
        Memory of all steps, in bytes.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._done: list[Change] = []
        self._undone: list[Change] = []
        self._bytes = 0

    @property
    def to_undo(self) -> Change | None:
        """The step that is taken back next."""
        return self._done[-1] if self._done else None

    @property
    def to_redo(self) -> Change | None:
        """The step that is done again next."""
        return self._undone[-1] if self._undone else None

    def add(self, change: Change) -> None:
        """Remember a step; what was taken back before cannot be done again any more."""
        self._bytes += change.nbytes - sum(step.nbytes for step in self._undone)
        self._undone.clear()
        self._done.append(change)
        while self._bytes > self._limit and len(self._done) > 1:
            self._bytes -= self._done.pop(0).nbytes

    def undone(self) -> None:
        """Say that the step :attr:`to_undo` was taken back."""
        self._undone.append(self._done.pop())

    def redone(self) -> None:
        """Say that the step :attr:`to_redo` was done again."""
        self._done.append(self._undone.pop())
