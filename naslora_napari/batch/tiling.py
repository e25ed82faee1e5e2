"""A large image is segmented tile by tile, at the zoom at which the model learned, and put together without seams."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage

from .masks import FREE_SHARE, AutoMasks, best_first
from .sources import Parts

#: An image is seen as a whole up to so many times the largest side that the model learned from.
LARGER = 1.5
#: A tile overlaps its neighbour by so much of its side: objects up to that size are whole in one of them.
OVERLAP = 0.25
#: An object whose middle is so close beyond the part of a tile counts in both, and is kept once, in pixels.
SHARED = 2.0


@dataclass(frozen=True)
class Tile:
    """A part of an image.

    Attributes
    ----------
    window : (slice, slice)
        Rows and columns that are looked at.
    core : (row0, col0, row1, col1)
        Where objects have their middle that are taken from this tile; cores are disjoint and cover the image.
    """

    window: tuple[slice, slice]
    core: tuple[float, float, float, float]


def tiles_of(shape: tuple[int, ...], side: int) -> list[Tile]:
    """Return tiles that cover an image of ``shape`` (H, W), ``side`` pixels wide and high or as the image is."""
    spans = [_spans(length, side) for length in shape[:2]]
    return [Tile((rows[0], cols[0]), (rows[1], cols[1], rows[2], cols[2])) for rows, cols in product(*spans)]


def _spans(length: int, side: int) -> list[tuple[slice, float, float]]:
    """Return the windows along one axis with the first and last place of each core."""
    if length <= side:
        return [(slice(0, length), -np.inf, np.inf)]
    count = int(np.ceil((length - side) / (side * (1 - OVERLAP)))) + 1
    starts = np.linspace(0, length - side, count).round().astype(int).tolist()
    edges = [-np.inf, *((a + side + b) / 2 for a, b in zip(starts, starts[1:], strict=False)), np.inf]
    return [(slice(s, s + side), edges[i], edges[i + 1]) for i, s in enumerate(starts)]


def stitched(
    rgb: np.ndarray | Parts, side: int, segment_each: Callable[[Iterable[np.ndarray]], Iterable[AutoMasks]]
) -> AutoMasks:
    """Segment an image in tiles.

    An object is taken from the tile in whose core its middle lies. Of one that two tiles find, the first is kept.

    Parameters
    ----------
    rgb : ndarray or Parts
        ``(H, W, 3)`` uint8.
    side : int
        Of a tile, in pixels.
    segment_each : callable
        Segments tiles, as many at once as it likes.
    """
    labels = np.zeros(rgb.shape[:2], np.int32)
    confidence: list[float] = []
    classes: list[int] = []
    tiles = tiles_of(rgb.shape, side)
    for tile, found in zip(tiles, segment_each(rgb[tile.window] for tile in tiles), strict=True):
        part = labels[tile.window]
        for number, box in enumerate(ndimage.find_objects(found.labels), start=1):
            if box is None:
                continue
            mask = found.labels[box] == number
            free = mask & (part[box] == 0)
            if _is_of(tile, box, mask) and free.any() and free.sum() >= FREE_SHARE * mask.sum():
                confidence.append(float(found.confidence[number - 1]))
                part[box][free] = len(confidence)
                if found.classes is not None:
                    classes.append(int(found.classes[number - 1]))
    told = np.array(classes, int) if len(classes) == len(confidence) else None
    return best_first(labels, np.array(confidence), told)


def _is_of(tile: Tile, box: tuple[slice, slice], mask: np.ndarray) -> bool:
    """Return whether the middle of an object lies in the core of a tile."""
    rows, cols = np.nonzero(mask)
    row = tile.window[0].start + box[0].start + rows.mean() + 0.5
    col = tile.window[1].start + box[1].start + cols.mean() + 0.5
    row0, col0, row1, col1 = tile.core
    return bool(row0 - SHARED <= row < row1 + SHARED and col0 - SHARED <= col < col1 + SHARED)
