"""Going from object to object."""

from __future__ import annotations

import bisect
from collections.abc import Iterable

from naslora_trainer.prompts import Point

from ..store import edits
from ..store.records import Annotation
from .pieces import box_of


def neighbour(objects: Iterable[int], key: int, step: int) -> int:
    """Return the id of the next (``step`` 1) or previous (-1) object after ``key``, around the ends; 0: none."""
    ids = sorted(objects)
    if not ids:
        return 0
    place = bisect.bisect_left(ids, key) if step < 0 else bisect.bisect_right(ids, key) - 1
    return ids[(place + step) % len(ids)]


def centre(annotation: Annotation, name: str, key: int) -> Point:
    """Return the middle (row, col) of the box around an object of an image.

    Raises
    ------
    UserError
        There is no such object.
    """
    row0, col0, row1, col1 = box_of(*edits.pixels_of(annotation, name, key))
    return (row0 + row1 - 1) / 2, (col0 + col1 - 1) / 2
