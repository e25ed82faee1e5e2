"""Which images train and which judge."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from scipy import ndimage

from .data import TrainingImage, objects_of
from .errors import UserError

T = TypeVar("T")
#: An image, or what it is a part or plane of, and the id of an object.
Key = tuple[str, int]

#: From so many labelled images on, the split is by image; below it by object.
IMAGES_TO_SPLIT = 4
VALIDATION_SHARE = 0.25


@dataclass(frozen=True)
class Split:
    """Images of the two parts; in a split by object an image is in both, each time with its own objects.

    Attributes
    ----------
    train, validation : tuple of TrainingImage
        The parts.
    judged : tuple of ndarray
        (H, W) bool of each validation image: where all that a model finds by itself is right or wrong. That is where
        every object is labelled, and in an image of both parts nearer to an object that judges than to one that trains.
    """

    train: tuple[TrainingImage, ...]
    validation: tuple[TrainingImage, ...]
    judged: tuple[np.ndarray, ...]

    def objects(self) -> dict[str, int]:
        """Return the number of objects of each part."""
        parts = {"train": self.train, "validation": self.validation}
        return {name: sum(len(objects_of(image)) for image in part) for name, part in parts.items()}


def split_images(images: Sequence[TrainingImage]) -> Split:
    """Split labelled images (by image from four on, else by object). Parts and planes of one source stay together.

    The order is a hash of names, not chance: an image keeps its part when others are added around it, so that
    a model is rarely judged on what an earlier one was trained on.

    Raises
    ------
    UserError
        There are no labelled objects, or only one.
    """
    labelled = [image for image in images if objects_of(image)]
    by_image, train, validation = split_objects([(_source(i), key) for i in labelled for key in objects_of(i)])
    if by_image:
        halves = (dict.fromkeys(source for source, _ in part) for part in (train, validation))
        trained, held = (tuple(i for source in half for i in labelled if _source(i) == source) for half in halves)
        return Split(trained, held, tuple(image.known for image in held))
    whole = {image.name: image for image in labelled}
    trained = tuple(_with_background(image, whole[image.name]) for image in _only(labelled, train))
    held = _only(labelled, validation)
    return Split(trained, held, tuple(_around(image, whole[image.name]) for image in held))


def split_objects(objects: Sequence[Key]) -> tuple[bool, list[Key], list[Key]]:
    """Split objects as :func:`split_images` splits the images in which they are.

    Parameters
    ----------
    objects : sequence of (str, int)
        The image (or what it is a part or plane of) and the id of each.

    Returns
    -------
    by_image : bool
        Whether no image is in both parts.
    train, validation : list of (str, int)
        The parts.

    Raises
    ------
    UserError
        There are fewer than two.
    """
    keys = list(dict.fromkeys(objects))
    if len(keys) < 2:
        raise _too_few(len(keys))
    of_source: dict[str, list[Key]] = {}
    for key in keys:
        of_source.setdefault(key[0], []).append(key)
    if len(of_source) >= IMAGES_TO_SPLIT:
        train, held = (
            [key for source in part for key in of_source[source]] for part in _parts(sorted(of_source, key=_hash))
        )
        return True, train, held
    return False, *_parts(sorted(keys, key=lambda key: _hash(f"{key[0]}#{key[1]}")))


def _source(image: TrainingImage) -> str:
    """Return what an image is a part or plane of: itself, if of nothing."""
    return image.source or image.name


def _too_few(count: int) -> UserError:
    return UserError(
        f"There {'is only 1 labelled object' if count else 'are no labelled objects'} to train on.",
        "Accept at least two objects, better ten on four images.",
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _parts(ordered: list[T]) -> tuple[list[T], list[T]]:
    """First the validation part, the rest trains."""
    held = max(1, round(VALIDATION_SHARE * len(ordered)))
    return ordered[held:], ordered[:held]


def _only(images: Sequence[TrainingImage], keys: list[Key]) -> tuple[TrainingImage, ...]:
    """Return the images with only the chosen objects left.

    A copy without some objects is not complete, and a region that has lost a part of an object is none any more.
    """
    kept = []
    chosen = set(keys)
    for image in images:
        ids = [i for i in objects_of(image) if (_source(image), i) in chosen]
        if ids:
            whole = len(ids) == len(objects_of(image))
            labels = np.where(np.isin(image.labels, ids), image.labels, 0).astype(np.int32)
            lost = labels != image.labels
            rois = tuple(box for box in image.rois if not lost[box[0] : box[2], box[1] : box[3]].any())
            kept.append(replace(image, labels=labels, complete=image.complete and whole, rois=rois))
    return tuple(kept)


def _with_background(image: TrainingImage, whole: TrainingImage) -> TrainingImage:
    """Return an image some of whose objects were taken out, which knows what the whole one does: where no object is."""
    nothing = whole.known & (whole.labels == 0) & ~image.known
    if not nothing.any():
        return image
    return replace(image, nothing=nothing if image.nothing is None else nothing | image.nothing)


def _around(image: TrainingImage, whole: TrainingImage) -> np.ndarray:
    """Return where what is known of the whole image is about the objects that are left of it."""
    known = whole.known
    if not known.any():
        return known
    _, (rows, cols) = ndimage.distance_transform_edt(whole.labels == 0, return_indices=True)
    return known & (image.labels > 0)[rows, cols]
