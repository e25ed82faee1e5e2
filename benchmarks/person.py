"""A simulated person: what each action takes in seconds, and how objects are brought to an IoU of 0.85.

The seconds, for everybody the same:

- :data:`CLICK`, 2.5 s for a click with looking for its place: 2.4 s for the first click on an object in Bearman et al.,
  "What's the Point" (ECCV 2016); 2.65 s in the keystroke-level model of Card, Moran & Newell (1980): think 1.35, point
  1.1, press and release 0.2.
- :data:`ACCEPT`, 1 s to look at a mask and accept it with a key; also to look at one of the model's own and leave it.
- :data:`DELETE`, 2.5 s: a click on an object that is none, and a key.
- :data:`OPEN`, 3 s to go to the next image and look at it.
- :data:`STROKE` 1.5 s to take brush or eraser and go there, and then :data:`SPEED`, 30 pixels of the screen in a second
  along the wrong part of the edge. This is an assumption between two figures: 79 s for an outline in COCO (Lin et al.
  2014) are about 13 pixels in a second, and the steering law (Accot & Zhai 1997) allows about 100 in a tunnel of 10.
- A box is not used: 7 s with four extreme clicks (Papadopoulos et al. 2017).

The person chooses the cheapest way with hindsight: so many clicks (0 to :data:`CLICKS`; each after the first deepest in
the largest error), then the brush for what is still wrong, largest error first, until the IoU is :data:`GOAL`. That is
generous to whoever has the worse model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from naslora_trainer.prompts import extent

CLICK, ACCEPT, DELETE, OPEN, STROKE = 2.5, 1.0, 2.5, 3.0, 1.5
#: Pixels of the screen along an edge in a second, and the height in which an image is shown.
SPEED, SCREEN = 30.0, 900.0
#: What an object has to reach, and most clicks on one.
GOAL, CLICKS = 0.85, 4

#: The three by three pixels around one.
_AROUND = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Way:
    """A way to one object.

    Attributes
    ----------
    seconds : float
        What it takes.
    mask : ndarray
        (H, W) bool: the result.
    iou : float
        How good that is.
    """

    seconds: float
    mask: np.ndarray
    iou: float


def cheapest(masks: Sequence[np.ndarray], target: np.ndarray) -> Way:
    """Return the cheapest way to an object by clicks and brush.

    Parameters
    ----------
    masks : sequence of ndarray
        (H, W) bool: the model's answer after 1, 2, ... clicks.
    target : ndarray
        (H, W) bool: the object.
    """
    ways = [brushed(np.zeros_like(target), target), *(brushed(mask, target) for mask in masks)]
    timed = [Way(way.seconds + clicks * CLICK + ACCEPT, way.mask, way.iou) for clicks, way in enumerate(ways)]
    return min(timed, key=lambda way: way.seconds)


def brushed(mask: np.ndarray, target: np.ndarray) -> Way:
    """Return how a mask is corrected with brush and eraser until its IoU is :data:`GOAL`, and what that takes."""
    part = extent(mask | target)
    inside, wanted = mask[part], target[part]
    both, either = int((inside & wanted).sum()), int((inside | wanted).sum())
    if both >= GOAL * either:
        return Way(0.0, mask, both / either)
    edges = (wanted & ~ndimage.binary_erosion(wanted, _AROUND), ndimage.binary_dilation(wanted, _AROUND) & ~wanted)
    errors = []
    for missed, edge in zip((True, False), edges, strict=True):
        regions, count = ndimage.label((inside != wanted) & (wanted == missed))
        sizes = np.bincount(regions.ravel(), minlength=count + 1)
        along = np.bincount(regions[edge], minlength=count + 1)
        errors += [
            (int(sizes[k]), missed, regions == k, max(int(along[k]), sizes[k] ** 0.5)) for k in range(1, count + 1)
        ]
    result = inside.copy()
    seconds = 0.0
    for size, missed, region, length in sorted(errors, key=lambda error: -error[0]):
        seconds += STROKE + length * SCREEN / target.shape[0] / SPEED
        result[region] = missed
        both, either = (both + size, either) if missed else (both, either - size)
        if both >= GOAL * either:
            break
    whole = mask.copy()
    whole[part] = result
    return Way(seconds, whole, both / either)


def matched(
    found: np.ndarray, labels: np.ndarray, ids: Sequence[int]
) -> tuple[dict[int, tuple[int, float]], list[int]]:
    """Match found objects to labelled ones, one to one, for the largest sum of IoU.

    Parameters
    ----------
    found, labels : ndarray
        (H, W) whole numbers; ``found`` has 1..N.
    ids : sequence of int
        Those in ``labels``.

    Returns
    -------
    pairs : dict of int to (int, float)
        By id in ``labels`` the number in ``found`` and the IoU, above 0.
    false : list of int
        Numbers in ``found`` that match nothing.
    """
    numbers = list(range(1, int(found.max(initial=0)) + 1))
    place = np.zeros(max(ids) + 1, int)
    place[list(ids)] = np.arange(1, len(ids) + 1)
    columns = len(ids) + 1
    flat = found.ravel().astype(int) * columns + place[labels.ravel()]
    table = np.bincount(flat, minlength=(len(numbers) + 1) * columns).reshape(-1, columns)
    union = table.sum(axis=1, keepdims=True) + table.sum(axis=0, keepdims=True) - table
    iou = (table / np.maximum(union, 1))[1:, 1:]
    rows, cols = linear_sum_assignment(-iou)
    pairs = {ids[c]: (numbers[r], float(iou[r, c])) for r, c in zip(rows, cols, strict=True) if iou[r, c] > 0}
    taken = {number for number, _ in pairs.values()}
    return pairs, [number for number in numbers if number not in taken]


@dataclass(frozen=True)
class Work:
    """An image that the person has labelled.

    Attributes
    ----------
    seconds : float
        User seconds, with opening the image.
    labels : ndarray
        (H, W) int32: the person's labels.
    ious : tuple of float
        Of each object.
    way : str
        ``clicks``, or ``review`` where the person corrected what the model had found by itself.
    """

    seconds: float
    labels: np.ndarray
    ious: tuple[float, ...]
    way: str


def by_clicks(ways: Mapping[int, Way], labels: np.ndarray) -> Work:
    """Label every object on its own.

    Parameters
    ----------
    ways : mapping of int to Way
        By id of the object.
    labels : ndarray
        (H, W) int32: the true objects.
    """
    return _painted(ways, labels, OPEN, "clicks")


def by_review(found: np.ndarray, ways: Mapping[int, Way], labels: np.ndarray) -> Work:
    """Look at each object that the model has found, and correct, delete or replace what is wrong.

    Parameters
    ----------
    found : ndarray
        (H, W) int32, 0 or 1..N: the model's own objects.
    ways, labels
        As for :func:`by_clicks`; for what the model missed or has to be done again.
    """
    pairs, false = matched(found, labels, list(ways))
    chosen = {}
    for key, way in ways.items():
        if key in pairs:
            way = Way(way.seconds + DELETE, way.mask, way.iou)
            kept = brushed(found == pairs[key][0], labels == key)
            way = min(Way(kept.seconds + ACCEPT, kept.mask, kept.iou), way, key=lambda one: one.seconds)
        chosen[key] = way
    return _painted(chosen, labels, OPEN + DELETE * len(false), "review")


def _painted(ways: Mapping[int, Way], labels: np.ndarray, seconds: float, name: str) -> Work:
    painted = np.zeros_like(labels)
    for key, way in ways.items():
        painted[way.mask & (painted == 0)] = key
    ious = tuple(way.iou for way in ways.values())
    return Work(seconds + sum(way.seconds for way in ways.values()), painted, ious, name)
