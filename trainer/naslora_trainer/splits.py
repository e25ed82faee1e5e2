"""Which images train and which judge."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from .data import TrainingImage, objects_of
from .errors import UserError

T = TypeVar("T")

#: From so many labelled images on, the split is by image; below it by object.
IMAGES_TO_SPLIT = 4
VALIDATION_SHARE = 0.25


@dataclass(frozen=True)
class Split:
    """Images of the two parts; in a split by object an image is in both, each time with its own objects."""

    train: tuple[TrainingImage, ...]
    validation: tuple[TrainingImage, ...]

    def objects(self) -> dict[str, int]:
        """Return the number of objects of each part."""
        parts = {"train": self.train, "validation": self.validation}
        return {name: sum(len(objects_of(image)) for image in part) for name, part in parts.items()}


def split_images(images: Sequence[TrainingImage]) -> Split:
    """Split labelled images (by image from four on, else by object).

    The order is a hash of names, not chance: an image keeps its part when others are added around it, so that
    a model is rarely judged on what an earlier one was trained on.

    Raises
    ------
    UserError
        There are no labelled objects, or only one.
    """
    labelled = [image for image in images if objects_of(image)]
    count = sum(len(objects_of(image)) for image in labelled)
    if count < 2:
        raise UserError(
            f"There {'is only 1 labelled object' if count else 'are no labelled objects'} to train on.",
            "Accept at least two objects, better ten on four images.",
        )
    if len(labelled) >= IMAGES_TO_SPLIT:
        train, validation = _parts(sorted(labelled, key=lambda image: _hash(image.name)))
        return Split(tuple(train), tuple(validation))
    keys = [(image, i) for image in labelled for i in objects_of(image)]
    parts = _parts(sorted(keys, key=lambda key: _hash(f"{key[0].name}#{key[1]}")))
    return Split(*(_only(labelled, part) for part in parts))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _parts(ordered: list[T]) -> tuple[list[T], list[T]]:
    """First the validation part, the rest trains."""
    held = max(1, round(VALIDATION_SHARE * len(ordered)))
    return ordered[held:], ordered[:held]


def _only(images: Sequence[TrainingImage], keys: list[tuple[TrainingImage, int]]) -> tuple[TrainingImage, ...]:
    """Return the images with only the chosen objects left; a copy without some objects is not complete."""
    kept = []
    for image in images:
        ids = [i for chosen, i in keys if chosen is image]
        if ids:
            whole = len(ids) == len(objects_of(image))
            labels = np.where(np.isin(image.labels, ids), image.labels, 0).astype(np.int32)
            kept.append(replace(image, labels=labels, complete=image.complete and whole))
    return tuple(kept)
