"""Cleaning a proposed mask: what a model leaves ragged and a person would have to erase."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from naslora_trainer.prompts import Point


def tidied(mask: np.ndarray, clicks: Sequence[Point] = ()) -> np.ndarray:
    """Return a mask without specks, holes and ragged edges.

    Edges are smoothed by a majority vote in 3 x 3 pixels, holes are filled (scipy.ndimage), and of the separate parts
    those stay that a click is in, or else the largest. A mask that would vanish stays as it is.

    Parameters
    ----------
    mask : ndarray
        ``(H, W)`` bool.
    clicks : sequence of tuple
        (row, col) of the positive clicks, inside the image.
    """
    if not mask.any():
        return mask.copy()
    votes = ndimage.uniform_filter(np.pad(mask, 1, "edge").astype(np.float32), 3)[1:-1, 1:-1]
    parts, count = ndimage.label(ndimage.binary_fill_holes(votes > 0.5))
    if count == 0:
        return mask.copy()
    hit = {int(parts[round(row), round(col)]) for row, col in clicks} - {0}
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.isin(parts, list(hit or {int(sizes.argmax())}))
