"""How well a head finds the objects of held-out images by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from .data import TrainingImage
from .examinee import Examinee
from .frames import framed, input_of
from .instances import instances_of
from .matching import Matches, match
from .seed_head import SeedHead, maps_of


@torch.no_grad()
def automatic_f1(
    model: Examinee,
    head: SeedHead,
    images: Sequence[tuple[TrainingImage, np.ndarray]],
    one_object: bool,
    check_stop: Callable[[], None] = lambda: None,
) -> float:
    """Return the F1 at IoU 0.5 of the objects that a head finds, over all images: 0 to 1.

    They are compared in the low-resolution frame of the model, as the head outlines them.

    Parameters
    ----------
    model : Examinee
        Whose embedding the head looks at.
    head : SeedHead
        On the same device.
    images : sequence of (TrainingImage, ndarray)
        With (H, W) bool: where its objects are compared (see :class:`naslora_trainer.splits.Split`), found and labelled
        ones that lie there for the most part.
    one_object : bool
        Whether each image that it learned from had one object (see :func:`naslora_trainer.instances.instances_of`).
    check_stop : callable
        Called between images; may raise.
    """
    side, total = model.sam.image_encoder.img_size, Matches()
    for image, judged in images:
        check_stop()
        seen = input_of(model.sam, image, 0)
        (maps,) = maps_of(head, model.embedding(image), seen, [image.labels.shape])
        height, width = maps.shape[1:]
        labels, there = (framed(plane, 0, side)[:height, :width] for plane in (image.labels, judged))
        found = instances_of(maps, one_object).labels
        total += match(mostly_in(found, there > 0), mostly_in(labels, there > 0))
    return total.f1


def mostly_in(labels: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Return a label image with only the objects that have half of their pixels or more in a mask of its size."""
    ids, index = np.unique(labels, return_inverse=True)  # numbers may be large
    index = index.reshape(labels.shape)
    inside, whole = (np.bincount(some, minlength=len(ids)) for some in (index[there], index.ravel()))
    return np.where((2 * inside >= whole)[index], labels, 0)
