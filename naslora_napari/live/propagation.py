"""Following an object from plane to plane of a stack or series: what is asked on the next plane, and where to stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from naslora_trainer.prompts import Prediction, Prompts

from ..store.records import ImageEntry
from .refining import from_object

#: By which share of its sides the box of the last mask is grown: the object may move or grow.
GROWTH = 0.1


@dataclass(frozen=True)
class Limits:
    """When an object counts as ended.

    Attributes
    ----------
    overlap : float
        Least IoU with the mask on the plane before, 0 to 1.
    change : float
        By which factor the area may change, above 1.
    score : float
        Least score of the answer, 0 to 1.
    """

    overlap: float = 0.5
    change: float = 2.0
    score: float = 0.5


@dataclass(frozen=True, eq=False)
class Outline:
    """The pixels of a mask on a plane: rows and columns (n,), and how wide the plane is."""

    rows: np.ndarray
    cols: np.ndarray
    width: int

    @classmethod
    def of(cls, prediction: Prediction, width: int) -> Outline:
        """Return the pixels of an answer."""
        rows, cols = np.nonzero(prediction.mask)
        return cls(rows + prediction.offset[0], cols + prediction.offset[1], width)

    def iou(self, other: Outline) -> float:
        """Return how much both have in common, 0 to 1."""
        ours, theirs = (each.rows.astype(np.int64) * each.width + each.cols for each in (self, other))
        both = len(np.intersect1d(ours, theirs, assume_unique=True))
        return both / max(1, len(ours) + len(theirs) - both)


def planes_after(images: Sequence[ImageEntry], name: str, step: int) -> list[str]:
    """Return the names of the planes that follow one (``step`` 1) or come before it (-1), the nearest first.

    They are planes of the same file along its last axis: along z in a series of stacks.
    """
    here = next(image for image in images if image.name == name)
    if not here.plane:
        return []
    line = {
        image.plane[-1]: image.name
        for image in images
        if image.path == here.path and image.plane[:-1] == here.plane[:-1] and len(image.plane) == len(here.plane)
    }
    at = here.plane[-1]
    return [line[index] for index in sorted(line, reverse=step < 0) if (index - at) * step > 0]


def prompts_for_next(outline: Outline, shape: tuple[int, int]) -> Prompts:
    """Return what is asked on the next plane, of ``shape`` (rows, columns): the last mask, and a box with some room."""
    prompts = from_object(outline.rows, outline.cols)
    assert prompts.box is not None
    row0, col0, row1, col1 = prompts.box
    more = GROWTH * (row1 - row0), GROWTH * (col1 - col0)
    box = (
        max(0.0, row0 - more[0]),
        max(0.0, col0 - more[1]),
        min(float(shape[0]), row1 + more[0]),
        min(float(shape[1]), col1 + more[1]),
    )
    return replace(prompts, box=box)


def why_it_ends(before: Outline, found: Outline, score: float, taken: int, limits: Limits | None = None) -> str:
    """Return why an object does not go on with the mask that was ``found``, for a person; empty where it does.

    Parameters
    ----------
    before, found : Outline
        On the plane before, and on this one.
    score : float
        Of the answer.
    taken : int
        How many of its pixels belong to other objects already.
    limits : Limits, optional
        When it counts as ended.
    """
    limits = limits or Limits()
    if not len(found.rows):
        return "there is nothing any more"
    if taken > len(found.rows) / 2:
        return "there is an object already"
    if before.iou(found) < limits.overlap:
        return "the mask is somewhere else"
    if max(len(before.rows), len(found.rows)) > limits.change * min(len(before.rows), len(found.rows)):
        return "its size changes too much"
    if score < limits.score:
        return "the model is not sure"
    return ""
