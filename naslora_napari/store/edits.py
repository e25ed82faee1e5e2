"""Changes of the labels of one image: each returns a new annotation and leaves the old one as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from naslora_trainer.data import ids_in
from naslora_trainer.errors import UserError
from naslora_trainer.images import LARGEST_LABEL, to_labels

from .records import Annotation, ObjectInfo


def with_object(
    old: Annotation, name: str, mask: np.ndarray, info: ObjectInfo, overwrite: bool = False
) -> tuple[Annotation, int]:
    """Return the annotation with one more object, and its id.

    Pixels of other objects stay theirs, unless ``overwrite``: an object that has none left is gone.

    Raises
    ------
    UserError
        The mask is not a boolean plane of the size of the image, or covers no free pixel.
    """
    if mask.dtype != bool or mask.shape != old.labels.shape:
        size = _size(old.labels.shape)
        raise UserError(f"The mask is not a boolean plane of the size of image '{name}', {size}.")
    free = mask if overwrite else mask & (old.labels == 0)
    if not free.any():
        raise UserError(f"The mask covers no free pixel of image '{name}'.", "Erase the object that is there first.")
    key = _new_id(old.objects)
    labels = old.labels.copy()
    labels[free] = key
    objects = {**old.objects, key: info}
    if overwrite:
        objects = {i: objects[i] for i in ids_in(labels)}
    return replace(old, labels=labels, objects=objects), key


def without_object(old: Annotation, name: str, key: int) -> Annotation:
    """Return the annotation without one object.

    Raises
    ------
    UserError
        There is no such object.
    """
    _existing(old, name, key)
    labels = np.where(old.labels == key, np.int32(0), old.labels)
    return replace(old, labels=labels, objects={i: info for i, info in old.objects.items() if i != key})


def with_class(old: Annotation, name: str, key: int, class_id: int) -> Annotation:
    """Return the annotation with another class of one object.

    Raises
    ------
    UserError
        There is no such object.
    """
    info = _existing(old, name, key)
    return replace(old, objects={**old.objects, key: replace(info, class_id=class_id)})


def with_plane(old: Annotation, name: str, labels: np.ndarray, info: ObjectInfo) -> Annotation:
    """Return the annotation with another plane of labels: objects without pixels go, new ids get ``info``.

    Raises
    ------
    UserError
        The plane is of another size or holds no labels.
    """
    plane = _plane(old, name, labels)
    return replace(old, labels=plane, objects={i: old.objects.get(i, info) for i in ids_in(plane)})


def with_labels(old: Annotation, name: str, labels: np.ndarray, objects: Mapping[int, ObjectInfo]) -> Annotation:
    """Return the annotation with another plane of labels and another table of objects.

    Raises
    ------
    UserError
        The plane is of another size or holds no labels, or an object of it is not in the table.
    """
    plane = _plane(old, name, labels)
    ids = ids_in(plane)
    missing = [i for i in ids if i not in objects]
    if missing:
        raise UserError(f"Nothing is known about object {missing[0]} of image '{name}'.")
    return replace(old, labels=plane, objects={i: objects[i] for i in ids})


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
    return replace(with_plane(old, name, labels, info), complete=complete)


def _existing(old: Annotation, name: str, key: int) -> ObjectInfo:
    """Return the record of an object that is there."""
    if key not in old.objects:
        raise UserError(f"Image '{name}' has no object {key}.")
    return old.objects[key]


def _plane(old: Annotation, name: str, labels: np.ndarray) -> np.ndarray:
    """Return checked labels (H, W) int32 for an image."""
    if labels.shape != old.labels.shape:
        raise UserError(f"The labels of image '{name}' are not of its size, {_size(old.labels.shape)}.")
    return to_labels(labels, f"The label plane of image '{name}'")


def _new_id(objects: dict[int, ObjectInfo]) -> int:
    """Return an id that is not in use: the next one, or the first gap when the numbers are used up."""
    highest = max(objects, default=0)
    if highest < LARGEST_LABEL:
        return highest + 1
    return next(i for i in range(1, LARGEST_LABEL) if i not in objects)


def _size(shape: tuple[int, ...]) -> str:
    """Return a size as people write it."""
    return " x ".join(map(str, shape)) + " pixels"
