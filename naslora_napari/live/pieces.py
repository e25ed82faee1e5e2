"""Splitting an object that is two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

from naslora_trainer.prompts import Box, Point, Prompts


def pieces(mask: np.ndarray, clicks: Sequence[Point] = ()) -> np.ndarray:
    """Return the parts of an object, numbered from 1; a single one where it cannot be split.

    They are its connected parts if it has several. Otherwise a watershed of the distance to its edge (scikit-image)
    parts it, from two or more clicks, or else from the two deepest places that a narrower one lies between.

    Parameters
    ----------
    mask : ndarray
        ``(h, w)`` bool.
    clicks : sequence of tuple
        (row, col) inside the object.

    Returns
    -------
    ndarray
        ``(h, w)`` int32; 0 outside the object.
    """
    parts, count = ndimage.label(mask, np.ones((3, 3), bool))
    if count > 1:
        return parts
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    seeds = np.zeros(mask.shape, np.int32)
    places = {(round(row), round(col)) for row, col in clicks}
    if len(places) < 2:
        apart = max(1, int(depth.max()))  # two places nearer than that are one
        places = {(int(row), int(col)) for row, col in peak_local_max(depth, apart, exclude_border=False, num_peaks=2)}
    for number, place in enumerate(sorted(places), 1):
        seeds[place] = number
    return watershed(-depth, seeds, connectivity=2, mask=mask)


def parts_of(rows: np.ndarray, cols: np.ndarray, prompts: Prompts) -> tuple[np.ndarray, bool]:
    """Return the parts of an object that is given by its pixels, as :func:`pieces` finds them.

    Parameters
    ----------
    rows, cols : ndarray
        ``(n,)`` whole numbers: its pixels.
    prompts : Prompts
        Two or more positive clicks inside it say where its parts are.

    Returns
    -------
    parts : ndarray
        ``(n,)`` int32: the part of each pixel, from 1.
    asked : bool
        Whether clicks said where they are.
    """
    top, left, bottom, right = (int(edge) for edge in box_of(rows, cols))
    mask = np.zeros((bottom - top, right - left), bool)
    mask[rows - top, cols - left] = True
    clicks = [(row, col) for row, col in clicks_on(mask.shape, (top, left), prompts) if mask[_at(row, col)]]
    return pieces(mask, clicks)[rows - top, cols - left], len(clicks) > 1


def clicks_on(shape: tuple[int, ...], offset: tuple[int, int], prompts: Prompts) -> list[Point]:
    """Return the positive clicks on a mask of ``shape`` (h, w) at ``offset``, in pixels of the mask."""
    places = zip(prompts.points, prompts.labels, strict=True)
    moved = [(row - offset[0], col - offset[1]) for (row, col), label in places if label]
    return [point for point in moved if all(0 <= at < size for at, size in zip(_at(*point), shape, strict=True))]


def box_of(rows: np.ndarray, cols: np.ndarray) -> Box:
    """Return the tight box of pixels; the far edges are exclusive."""
    return float(rows.min()), float(cols.min()), float(rows.max() + 1), float(cols.max() + 1)


def _at(row: float, col: float) -> tuple[int, int]:
    """Return the pixel at a place."""
    return round(row), round(col)
