"""Splitting an object that is two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

from naslora_trainer.prompts import Point


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
