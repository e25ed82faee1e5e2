"""What the head that finds objects is to answer on a labelled image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .data import TrainingImage
from .frames import PADDING, framed

#: So many low-resolution pixels around a labelled object are background, whatever else is not labelled.
RING = 2


@dataclass(frozen=True)
class SeedTargets:
    """Maps in the low-resolution frame.

    Attributes
    ----------
    maps : ndarray
        (3, 256, 256) float32, 0 to 1: object; nearness to the middle of the object, 1 there and 0 at the pixel farthest
        from it; distance to its edge, 1 where it is largest. All are 0 outside of objects.
    counts : ndarray
        (256, 256) bool: where an answer is compared with them.
    classes : ndarray
        (256, 256) uint8: the number of the class of the object there, from 1 on; 0 where no class counts.
    """

    maps: np.ndarray
    counts: np.ndarray
    classes: np.ndarray


def seed_targets(image: TrainingImage, turn: int, side: int, classes: Sequence[str] = ()) -> SeedTargets:
    """Return the targets of one of the eight turns of an image for a model with input size ``side``.

    ``classes`` are the names of those that are told apart, in the order of their numbers.

    An unlabelled pixel is background where every object is labelled, where a person has said that nothing is, and in a
    thin ring around labelled objects: it tells the head where an object ends. Elsewhere it may be an object that nobody
    has labelled yet, and does not count.
    """
    labels = framed(image.labels, turn, side)
    empty = image.known if image.nothing is None else image.known | image.nothing
    known = framed(empty.astype(np.int32), turn, side) == 1
    objects = np.maximum(labels, 0)
    ring = ndimage.binary_dilation(objects > 0, iterations=RING)
    middle, edge = distances(objects)
    maps = np.stack([objects > 0, middle, edge]).astype(np.float32)
    return SeedTargets(maps, (labels != PADDING) & (known | ring), _class_map(objects, image, classes))


def _class_map(objects: np.ndarray, image: TrainingImage, classes: Sequence[str]) -> np.ndarray:
    """Return the number of the class at each pixel of ``objects``, 0 where there is none or it is not told apart."""
    number = {name: index for index, name in enumerate(classes, start=1)}
    ids, place = np.unique(objects, return_inverse=True)
    values = np.array([number.get(image.classes.get(key, ""), 0) for key in ids.tolist()], np.uint8)
    return values[place].reshape(objects.shape)


def distances(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearness of each pixel to the middle of its object and its distance to the edge, 0 to 1.

    The middle is the pixel deepest inside. Of an object in several pieces, that of the largest depth.

    Parameters
    ----------
    labels : ndarray
        (H, W) int32 of 0 or more; 0 is no object.

    Returns
    -------
    middle, edge : ndarray
        (H, W) float32 each.
    """
    middle, edge = np.zeros((2, *labels.shape), np.float32)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        mask = labels[box] == number
        depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        row, col = np.unravel_index(np.argmax(depth), mask.shape)
        rows, cols = np.nonzero(mask)
        away = np.hypot(rows - row, cols - col)
        edge[box][mask] = (depth / depth.max())[mask]
        middle[box][mask] = 1 - away / max(1.0, away.max())
    return middle, edge
