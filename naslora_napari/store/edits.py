"""Changes of the labels of one image. An edit costs what it touches, not what the image measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from naslora_trainer.data import areas_in
from naslora_trainer.errors import UserError
from naslora_trainer.images import LARGEST_LABEL, to_labels
from naslora_trainer.prompts import extent

from .records import Annotation, ObjectInfo, Review

Window = tuple[slice, slice]
#: Objects are looked for in bands of so many rows, which fit into a processor's cache.
_BAND = 256


@dataclass(frozen=True, eq=False)
class Edit:
    """One change of an image: its pixels and records before and after, so that it leads in both directions.

    Attributes
    ----------
    rows, cols : ndarray
        ``(n,)`` int32: the pixels that change, each once, row by row.
    before, after : ndarray
        ``(n,)`` int32: their labels.
    objects : mapping of int to tuple
        For each id that is new, gone or of another record: its record before and after, None where it is not there.
    """

    rows: np.ndarray
    cols: np.ndarray
    before: np.ndarray
    after: np.ndarray
    objects: Mapping[int, tuple[ObjectInfo | None, ObjectInfo | None]]

    @property
    def where(self) -> tuple[np.ndarray, np.ndarray]:
        """Index of the pixels in a plane of labels."""
        return self.rows, self.cols

    @property
    def ids(self) -> tuple[int, ...]:
        """Objects that are new, gone, of another shape or of another record."""
        return tuple(sorted({*areas_in(self.before), *areas_in(self.after), *self.objects}))

    @property
    def empty(self) -> bool:
        """Whether nothing changes."""
        return not (len(self.rows) or self.objects)

    @property
    def nbytes(self) -> int:
        """Memory of its pixels, in bytes."""
        return self.rows.nbytes + self.cols.nbytes + self.before.nbytes + self.after.nbytes

    def gains(self) -> dict[int, int]:
        """Return by how many pixels each object that it touches grows; less than 0 where it shrinks."""
        gained = areas_in(self.after)
        for key, area in areas_in(self.before).items():
            gained[key] = gained.get(key, 0) - area
        return gained

    def reversed(self) -> Edit:
        """Return the way back."""
        objects = {key: (after, before) for key, (before, after) in self.objects.items()}
        return Edit(self.rows, self.cols, self.after, self.before, objects)


NOTHING = Edit(*(np.zeros(0, np.int32),) * 4, {})


def fits(old: Annotation, edit: Edit) -> bool:
    """Return whether an edit leads from ``old`` to sound labels: its pixels and records are what they were."""
    height, width = old.labels.shape
    if len(edit.rows) and not (
        0 <= edit.rows.min() <= edit.rows.max() < height and 0 <= edit.cols.min() <= edit.cols.max() < width
    ):
        return False
    if not np.array_equal(old.labels[edit.where], edit.before):
        return False
    if any((before is None) == (key in old.objects) for key, (before, _) in edit.objects.items()):
        return False
    gains = edit.gains()
    after = {key: edit.objects.get(key, (None, old.objects.get(key)))[1] for key in (*gains, *edit.objects)}
    return all((old.areas.get(key, 0) + gains.get(key, 0) > 0) == (info is not None) for key, info in after.items())


def apply(annotation: Annotation, edit: Edit) -> None:
    """Change an annotation in place by an edit that fits."""
    annotation.labels[edit.where] = edit.after
    for key, gain in edit.gains().items():
        annotation.areas[key] = annotation.areas.get(key, 0) + gain
    for key, (_, info) in edit.objects.items():
        if info is None:
            annotation.objects.pop(key, None)
            annotation.areas.pop(key, None)
        else:
            annotation.objects[key] = info


def new_object(
    old: Annotation,
    name: str,
    mask: np.ndarray,
    info: ObjectInfo,
    offset: tuple[int, int] | None = None,
    over: bool = False,
    wanted: int = 0,
) -> tuple[Edit, int]:
    """Return what adds an object, and its id.

    Parameters
    ----------
    old : Annotation
        What there is.
    name : str
        The image.
    mask : ndarray
        ``(h, w)`` bool.
    info : ObjectInfo
        How it came about.
    offset : (row, col) or None
        The pixel of the image at ``mask[0, 0]``; None: the mask covers the image.
    over : bool
        Whether it takes the pixels of other objects, too; one that has none left is gone.
    wanted : int
        Its id, where that is not in use; 0: the next one.

    Raises
    ------
    UserError
        The mask is not boolean, of another size or not inside the image, or covers no free pixel.
    """
    whole = old.labels.shape
    if mask.dtype != bool or not (mask.shape == whole if offset is None else inside(mask.shape, offset, whole)):
        raise UserError(f"The mask is not a boolean plane of the size of image '{name}', {_size(whole)}, or inside it.")
    rows, cols = _pixels(mask, offset or (0, 0))
    if not over:
        free = old.labels[rows, cols] == 0
        rows, cols = rows[free], cols[free]
    if not len(rows):
        raise UserError(
            f"The mask covers no free pixel of image '{name}'.",
            "Click on another object, or erase the one that is there.",
        )
    key = wanted if wanted and wanted not in old.objects else _new_ids(old, 1)[0]
    return _edit(old, rows, cols, np.full(len(rows), key, np.int32), info), key


def inside(shape: tuple[int, ...], offset: tuple[int, int], image: tuple[int, ...]) -> bool:
    """Return whether a mask of ``shape`` (h, w) with its first pixel at ``offset`` lies in an image of (H, W)."""
    return len(shape) == 2 and all(
        start >= 0 and start + size <= whole for start, size, whole in zip(offset, shape, image, strict=True)
    )


def without_object(old: Annotation, name: str, key: int) -> Edit:
    """Return what removes an object.

    Raises
    ------
    UserError
        There is no such object.
    """
    info = _existing(old, name, key)
    rows, cols = pixels_of(old, name, key)
    return _edit(old, rows, cols, np.zeros(len(rows), np.int32), info)


def with_class(old: Annotation, name: str, key: int, class_id: int) -> Edit:
    """Return what gives an object another class.

    Raises
    ------
    UserError
        There is no such object.
    """
    return _retold(old, name, key, class_id=class_id)


def with_review(old: Annotation, name: str, key: int, review: Review) -> Edit:
    """Return what says what a person thinks of an object after another look: ``reviewed``, ``doubtful``, or empty.

    Raises
    ------
    UserError
        There is no such object.
    """
    return _retold(old, name, key, review=review)


def _retold(old: Annotation, name: str, key: int, **told: Any) -> Edit:
    """Return what changes what is told of an object, and none of its pixels."""
    info = _existing(old, name, key)
    return replace(NOTHING, objects={key: (info, replace(info, **told))})


def painted(old: Annotation, name: str, labels: np.ndarray, info: ObjectInfo, window: Window | None = None) -> Edit:
    """Return what leads to a painted plane: objects without pixels go, new ids get ``info``.

    Parameters
    ----------
    old : Annotation
        What there is.
    name : str
        The image.
    labels : ndarray
        ``(H, W)`` whole numbers of 0 or more.
    info : ObjectInfo
        How new objects came about.
    window : tuple of slice
        Rows and columns, start and stop inside the image, outside of which nothing was painted; None: anywhere.

    Raises
    ------
    UserError
        The plane is of another size or holds no labels.
    """
    _check_size(old, name, labels)
    rows, cols = _differing(labels, old.labels, window or (slice(0, labels.shape[0]), slice(0, labels.shape[1])))
    after = to_labels(labels[rows, cols][None], f"The label plane of image '{name}'")[0]
    return _edit(old, rows, cols, after, info)


def merged(old: Annotation, name: str, first: int, second: int) -> Edit:
    """Return what makes the second object a part of the first one.

    Raises
    ------
    UserError
        One of them does not exist, or they are the same.
    """
    info = _existing(old, name, first)
    if first == second:
        raise UserError(f"Object {first} cannot be merged with itself.", "Choose another object as the second one.")
    rows, cols = pixels_of(old, name, second)
    return _edit(old, rows, cols, np.full(len(rows), first, np.int32), info)


def parted(old: Annotation, name: str, key: int, parts: np.ndarray) -> Edit:
    """Return what makes the parts of an object its own objects; the largest keeps the id, all keep the record.

    Parameters
    ----------
    old : Annotation
        What there is.
    name : str
        The image.
    key : int
        The object.
    parts : ndarray
        Number of its part, 1 or more, for each of its pixels as :func:`pixels_of` returns them.

    Raises
    ------
    UserError
        There is no such object.
    """
    info = _existing(old, name, key)
    rows, cols = pixels_of(old, name, key)
    sizes = areas_in(parts)
    largest = max(sizes, key=sizes.__getitem__)
    others = [part for part in sizes if part != largest]
    ids = np.zeros(max(sizes) + 1, np.int32)
    ids[others] = _new_ids(old, len(others))
    moved = parts != largest
    return _edit(old, rows[moved], cols[moved], ids[parts[moved]], info)


def pixels_of(old: Annotation, name: str, key: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns, int32, of an object, row by row.

    Raises
    ------
    UserError
        There is no such object.
    """
    _existing(old, name, key)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    missing = old.areas[key]
    for top in range(0, old.labels.shape[0], _BAND):
        hit = old.labels[top : top + _BAND] == key
        if hit.any():
            found.append(_pixels(hit, (top, 0)))
            missing -= len(found[-1][0])
        if not missing:
            break
    rows, cols = zip(*found, strict=True)
    return np.concatenate(rows), np.concatenate(cols)


def with_import(old: Annotation, name: str, labels: np.ndarray, info: ObjectInfo, complete: bool) -> Annotation:
    """Return the annotation with an imported plane.

    Raises
    ------
    UserError
        There are objects already, or the plane is of another size or holds no labels.
    """
    if old.objects:
        raise UserError(
            f"Image '{name}' has {len(old.objects)} objects already, which an import would overwrite.",
            "Import into a new project.",
        )
    _check_size(old, name, labels)
    plane = to_labels(labels, f"The label plane of image '{name}'")
    areas = areas_in(plane)
    return Annotation(plane, dict.fromkeys(areas, info), old.marks.but(complete=complete), areas)


def beside_others(old: Annotation, labels: np.ndarray, info_of: Callable[[int], ObjectInfo]) -> Edit:
    """Return what adds the objects of a plane where there are none yet; their numbers follow on those that are there.

    Parameters
    ----------
    old : Annotation
        What there is, which keeps its pixels.
    labels : ndarray
        ``(H, W)`` int32 of 0 or more.
    info_of : callable
        Returns how an object came about, of its number in the plane.
    """
    rows, cols = _pixels((labels > 0) & (old.labels == 0), (0, 0))
    numbers = labels[rows, cols]
    ids = list(areas_in(numbers))
    shift = max(old.objects, default=0)
    fit = not ids or shift + ids[-1] <= LARGEST_LABEL
    new = np.array([key + shift for key in ids] if fit else _new_ids(old, len(ids)), np.int32)
    after = new[np.searchsorted(np.array(ids), numbers)] if ids else numbers
    objects = {int(key): (None, info_of(number)) for key, number in zip(new, ids, strict=True)}
    return Edit(rows, cols, np.zeros(len(rows), np.int32), after, objects)


def _edit(old: Annotation, rows: np.ndarray, cols: np.ndarray, after: np.ndarray, info: ObjectInfo) -> Edit:
    """Return what gives pixels other labels: objects without pixels go, new ids get ``info``."""
    pixels = Edit(rows, cols, old.labels[rows, cols], after, {})
    objects: dict[int, tuple[ObjectInfo | None, ObjectInfo | None]] = {}
    for key, gain in pixels.gains().items():
        if key not in old.objects:
            objects[key] = (None, info)
        elif old.areas[key] + gain == 0:
            objects[key] = (old.objects[key], None)
    return replace(pixels, objects=objects)


def _pixels(mask: np.ndarray, offset: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns, int32, of a mask with its first pixel at ``offset``."""
    if not mask.any():
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    part = extent(mask)
    rows, cols = np.nonzero(mask[part])
    row, col = offset[0] + part[0].start, offset[1] + part[1].start
    return (rows + row).astype(np.int32), (cols + col).astype(np.int32)


def _differing(labels: np.ndarray, before: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns, int32, in which two planes differ in a window; no memory is taken for all of it."""
    across, found = window[1], [np.zeros((2, 0), np.int32)]
    for top in range(window[0].start, window[0].stop, _BAND):
        down = slice(top, min(top + _BAND, window[0].stop))
        found.append(np.stack(_pixels(labels[down, across] != before[down, across], (top, across.start))))
    rows, cols = np.concatenate(found, axis=1)
    return rows, cols


def _existing(old: Annotation, name: str, key: int) -> ObjectInfo:
    """Return the record of an object that is there."""
    if key not in old.objects:
        raise UserError(f"Image '{name}' has no object {key}.")
    return old.objects[key]


def _check_size(old: Annotation, name: str, labels: np.ndarray) -> None:
    """Refuse labels that are not of the size of an image."""
    if labels.shape != old.labels.shape:
        raise UserError(f"The labels of image '{name}' are not of its size, {_size(old.labels.shape)}.")


def _new_ids(old: Annotation, count: int) -> list[int]:
    """Return ids that are not in use: the next ones, or the first gaps when the numbers are used up."""
    highest = max(old.objects, default=0)
    if highest + count <= LARGEST_LABEL:
        return list(range(highest + 1, highest + count + 1))
    free = (i for i in range(1, LARGEST_LABEL) if i not in old.objects)
    return [next(free) for _ in range(count)]


def _size(shape: tuple[int, ...]) -> str:
    """Return a size as people write it."""
    return " x ".join(map(str, shape)) + " pixels"
