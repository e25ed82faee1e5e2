"""From the maps of the head to objects: one seed in the middle of each, and the pixels that belong to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

#: Probability from which a pixel belongs to an object.
FOREGROUND = 0.5
#: A middle rises at least so much above the saddle to the next one, of a height of 1.
RISE = 0.1
#: A middle that is not even so high is none.
LOWEST_MIDDLE = 0.25
#: A smaller instance is noise, in pixels of the map.
SMALLEST = 8
#: A piece of an object is a speck if it has a smaller share of its pixels.
SPECK = 0.01


@dataclass(frozen=True)
class Instances:
    """Objects as the head sees them.

    Attributes
    ----------
    labels : ndarray
        (H, W) int32: 0 background, 1..N.
    seeds : ndarray
        (N, 2) int: row and column of the middle of each, inside it.
    confidence : ndarray
        (N,) float: mean probability that its pixels are of an object, 0 to 1.
    """

    labels: np.ndarray
    seeds: np.ndarray
    confidence: np.ndarray


def find_instances(maps: np.ndarray) -> Instances:
    """Return the objects of ``maps``.

    Parameters
    ----------
    maps : ndarray
        (3 or more, H, W) float, 0 to 1: object, nearness to the middle, distance to the edge (see
        :class:`naslora_trainer.seed_head.SeedHead`). Those of classes are not looked at.
    """
    inside = maps[0] >= FOREGROUND
    height = np.where(inside, ndimage.gaussian_filter((maps[1] + maps[2]) / 2, 1), 0)
    middles = label(h_maxima(height, RISE).astype(bool) & (height >= LOWEST_MIDDLE))
    labels = watershed(-height, middles, mask=inside)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept = np.flatnonzero(sizes >= SMALLEST)
    number = np.zeros(len(sizes), np.int32)
    number[kept] = np.arange(1, len(kept) + 1)
    labels = number[labels]
    index = np.arange(1, len(kept) + 1)
    seeds = np.array(ndimage.maximum_position(height, labels, index), int).reshape(-1, 2)
    return Instances(labels, seeds, np.atleast_1d(ndimage.mean(maps[0], labels, index)) if len(index) else np.zeros(0))


def classes_of(labels: np.ndarray, probabilities: np.ndarray, count: int) -> np.ndarray:
    """Return the class of each object: the one with the highest mean probability over its pixels.

    Parameters
    ----------
    labels : ndarray
        (H, W) int32: 1..count.
    probabilities : ndarray
        (K, h, w) float of the same image, maybe coarser.
    count : int
        How many objects there are.

    Returns
    -------
    ndarray
        (count,) int: 1..K.
    """
    rows, cols = spread(labels.shape, probabilities.shape[1:])
    inside = labels > 0
    objects = labels[inside]
    sums = [np.bincount(objects, plane[np.ix_(rows, cols)][inside], count + 1)[1:] for plane in probabilities]
    return np.argmax(np.stack(sums), axis=0) + 1


def spread(shape: tuple[int, ...], coarse: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the row and the column of a map of shape ``coarse`` in which each of those of an image falls."""
    rows, cols = (((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(shape, coarse, strict=True))
    return rows, cols


def instances_of(maps: np.ndarray, one_object: bool) -> Instances:
    """Return the objects of ``maps``, or all that is seen as the one object that there is.

    Parameters
    ----------
    maps : ndarray
        As for :func:`find_instances`.
    one_object : bool
        Whether each image that was learned from had one object, in as many pieces as it may be.
    """
    if not one_object:
        return find_instances(maps)
    inside = pieces(maps[0])
    middle = np.argwhere(inside & (maps[1] == maps[1].max(where=inside, initial=-1)))[:1]
    confidence = [maps[0][inside].mean()] if len(middle) else []
    return Instances(inside.astype(np.int32), middle, np.array(confidence, float))


def pieces(probability: np.ndarray) -> np.ndarray:
    """Return where (H, W) bool an object in pieces is: what is likely of an object, without specks.

    Parameters
    ----------
    probability : ndarray
        (H, W) float: that a pixel is of an object.
    """
    found, _ = ndimage.label(probability >= FOREGROUND)
    sizes = np.bincount(found.ravel())
    sizes[0] = 0
    kept: np.ndarray = (sizes >= max(SMALLEST, SPECK * sizes.sum()))[found]
    return kept
