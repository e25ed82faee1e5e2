"""Objects that a model found without a person: they wait in the project until a person accepts them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from naslora_trainer.data import areas_in

from .edits import NOTHING, Edit, beside_others
from .records import Annotation, ObjectInfo

#: An object is known already when more than this share of it lies under others.
KNOWN = 0.5


def taken_in(old: Annotation, labels: np.ndarray, info_of: Callable[[int], ObjectInfo]) -> Edit:
    """Return what adds automatic objects to those that are there, which keep every pixel.

    Parameters
    ----------
    old : Annotation
        What there is.
    labels : ndarray
        ``(H, W)`` int32 of 0 or more, of the same size. What is there already, at least in large part, is left out,
        and so is what lies where a person said that every object is labelled.
    info_of : callable
        Returns the record of an object, of its number in ``labels``.
    """
    settled = (old.labels > 0) | old.complete
    for row0, col0, row1, col1 in old.marks.rois:
        settled[row0:row1, col0:col1] = True
    covered, areas = areas_in(labels[settled]), areas_in(labels)
    known = [key for key, pixels in covered.items() if pixels > KNOWN * areas[key]]
    return beside_others(old, np.where(settled | np.isin(labels, known), 0, labels).astype(np.int32), info_of)


def acceptance(old: Annotation, keys: set[int] | None = None) -> Edit:
    """Return what accepts objects that wait: those of ``keys``, or all; no pixel changes."""
    waiting = {key: info for key, info in old.objects.items() if info.waiting and (keys is None or key in keys)}
    return replace(NOTHING, objects={key: (info, _accepted(info)) for key, info in waiting.items()})


def by_hand(old: Annotation, edit: Edit, *more: int) -> Edit:
    """Return an edit that a person made by hand: what they corrected does not wait any more.

    An object is corrected where it gained pixels, or lost some to the background, but not where it only gave way to
    another one; ``more`` are corrected as well.
    """
    keys = {*areas_in(edit.after), *areas_in(edit.before[edit.after == 0]), *more}
    objects = dict(edit.objects)
    for key in keys - {0}:
        before, after = objects.get(key, (old.objects.get(key),) * 2)
        if after is not None and after.waiting:
            objects[key] = before, _accepted(after)
    return replace(edit, objects=objects)


def _accepted(info: ObjectInfo) -> ObjectInfo:
    return replace(info, review="reviewed")
