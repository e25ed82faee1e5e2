"""Masks as prompts: people draw outlines and have objects, SAM takes low-resolution logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from skimage.draw import polygon2mask
from skimage.transform import resize

Corner = tuple[float, float]
#: Part of an image: row0, col0, row1, col1 in pixels, the far edges exclusive.
Part = tuple[int, int, int, int]

#: Side of the square frame in which SAM takes and gives logits; the long side of the image fills it.
LOW_RES = 256
#: Logit of a pixel that is wholly inside a given mask, and with a minus of one outside.
CERTAIN = 8.0


def cut(outline: Sequence[Corner], shape: tuple[int, int]) -> tuple[Corner, ...]:
    """Return a closed outline of (row, col) corners cut at the border of an image of ``shape`` (rows, columns).

    Sutherland and Hodgman (1974): cut at one side after the other. Nothing is left of an outline outside.
    """
    corners = list(outline)
    for axis in (0, 1):
        for border, sign in ((-0.5, 1), (shape[axis] - 0.5, -1)):
            kept: list[Corner] = []
            for a, b in zip(corners[-1:] + corners[:-1], corners, strict=True):
                from_a, from_b = sign * (a[axis] - border), sign * (b[axis] - border)
                if (from_a >= 0) != (from_b >= 0):
                    way = from_a / (from_a - from_b)
                    kept.append((a[0] + way * (b[0] - a[0]), a[1] + way * (b[1] - a[1])))
                if from_b >= 0:
                    kept.append(b)
            corners = kept
    return tuple((float(row), float(col)) for row, col in corners)


def filled(outline: Sequence[Corner], shape: tuple[int, int]) -> np.ndarray:
    """Return the pixels ``(H, W)`` bool of an image of ``shape`` inside a closed outline of (row, col) corners."""
    if len(outline) < 3:
        return np.zeros(shape, bool)
    inside: np.ndarray = polygon2mask(shape, np.asarray(outline, float))
    return inside


def mask_logits(mask: np.ndarray) -> np.ndarray:
    """Return ``mask`` ``(H, W)`` bool as a mask prompt: logits ``(1, 256, 256)`` float32 in SAM's frame.

    A pixel of the frame gets the share of it that is inside; what is beyond the image is outside.
    """
    scale = _scale((0, 0, *mask.shape))  # type: ignore[arg-type]
    height, width = (max(1, int(side * scale + 0.5)) for side in mask.shape)
    share = resize(mask.astype(np.float32), (height, width), order=1, mode="edge", anti_aliasing=scale < 1)
    logits = np.full((1, LOW_RES, LOW_RES), -CERTAIN, np.float32)
    logits[0, :height, :width] = (2 * share - 1) * CERTAIN
    return logits


def reframed(logits: np.ndarray, region: Part, wanted: Part) -> np.ndarray:
    """Return logits ``(1, 256, 256)`` of one region of an image in the frame of another one; outside is outside."""
    if region == wanted:
        return logits
    here, there = _scale(wanted), _scale(region)
    corner = np.subtract(wanted[:2], region[:2])
    offset = (corner + 0.5 / here) * there - 0.5  # pixel i of a frame has its centre at (i + 0.5) / scale
    ratio = [there / here] * 2
    plane = ndimage.affine_transform(logits[0], ratio, offset, order=1, mode="grid-constant", cval=-CERTAIN)
    return plane[None]


def _scale(region: Part) -> float:
    """Return how many pixels of the frame a pixel of the image is."""
    row0, col0, row1, col1 = region
    return LOW_RES / max(row1 - row0, col1 - col0)
