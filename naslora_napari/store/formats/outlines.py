"""Outlines and masks. Corners lie on the corners of pixels; a pixel belongs to an outline when its centre is inside.

So the pixel in row r and column c covers x from c to c + 1 and y from r to r + 1, and an outline made of a mask gives
that mask again, bit by bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from scipy.spatial import KDTree
from shapely.geometry.polygon import orient

from .neutral import MOST_DRAWN, Size

#: Rings of one polygon, ``(n, 2)`` with x and y: what lies in an odd number of them belongs to it.
Polygon = Sequence[np.ndarray]
#: The edges of a polygon may cross so many rows together.
MOST_CROSSINGS = 5_000_000


def fill(polygons: Sequence[Polygon], size: Size) -> tuple[np.ndarray, tuple[int, int]] | None:
    """Return the pixels whose centre lies in one of the polygons, as mask and offset; None where there are none.

    Parameters
    ----------
    polygons : sequence of Polygon
        The pieces of an object.
    size : (rows, columns)
        Of the image; what lies outside is cut off.

    Raises
    ------
    ValueError
        The outline is too long, or its pieces are too large together.
    """
    windows = [_window(polygon, size) for polygon in polygons]
    parts = [(polygon, window) for polygon, window in zip(polygons, windows, strict=True) if window is not None]
    if sum(height * width for _, (_, _, height, width) in parts) > MOST_DRAWN + size[0] * size[1]:
        raise ValueError("its pieces are too large together")
    if not parts:
        return None
    row, col = (min(window[axis] for _, window in parts) for axis in (0, 1))
    stops = [max(window[axis] + window[axis + 2] for _, window in parts) for axis in (0, 1)]
    mask = np.zeros((stops[0] - row, stops[1] - col), bool)
    for polygon, (top, left, height, width) in parts:
        part = mask[top - row : top - row + height, left - col : left - col + width]
        part |= _inside(polygon, (top, left), (height, width))
    return cropped(mask, (row, col))


def _window(polygon: Polygon, size: Size) -> tuple[int, int, int, int] | None:
    """Return the first row and column of the pixels around a polygon, and how many there are; None: there are none."""
    points = np.concatenate([np.zeros((0, 2)), *polygon])
    if not len(points):
        return None
    # The centre of pixel i is at i + 0.5.
    first, last = np.ceil(points.min(axis=0) - 0.5), np.ceil(points.max(axis=0) - 0.5)
    (left, top), (right, bottom) = (np.clip(edge, 0, size[::-1]).astype(int).tolist() for edge in (first, last))
    return (top, left, bottom - top, right - left) if top < bottom and left < right else None


def _inside(polygon: Polygon, offset: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """Return which pixel centres of a window lie in an odd number of rings."""
    height, width = shape
    starts = np.concatenate(list(polygon))
    ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in polygon])
    upward = starts[:, 1] > ends[:, 1]
    starts[upward], ends[upward] = ends[upward], starts[upward]
    (x0, y0), (x1, y1) = starts.T, ends.T
    first = np.clip(np.ceil(y0 - 0.5) - offset[0], 0, height).astype(np.int64)
    counts = np.clip(np.ceil(y1 - 0.5) - offset[0], 0, height).astype(np.int64) - first
    if counts.sum() > MOST_CROSSINGS:
        raise ValueError("the outline is too long")
    edge = np.repeat(np.arange(len(counts)), counts)
    rows = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts)
    slope = (x1 - x0)[edge] / (y1 - y0)[edge]
    x = x0[edge] + (rows + (offset[0] + 0.5) - y0[edge]) * slope
    cols = np.clip(np.ceil(x - 0.5) - offset[1], 0, width).astype(np.int64)
    flips = np.zeros((height, width + 1), np.uint8)
    np.add.at(flips, (rows, cols), 1)  # what wraps round at 256 stays even or odd
    return (np.bitwise_xor.accumulate(flips[:, :width], axis=1) & 1).astype(bool)


def ellipse(
    center: tuple[float, float], radii: tuple[float, float], size: Size
) -> tuple[np.ndarray, tuple[int, int]] | None:
    """Return the pixels whose centre lies in an ellipse, as mask and offset; center and radii are (x, y)."""
    (cx, cy), (rx, ry) = center, radii
    if not (rx > 0 and ry > 0):
        return None
    rows = np.arange(max(0, int(cy - ry)), min(size[0], int(cy + ry) + 1))
    cols = np.arange(max(0, int(cx - rx)), min(size[1], int(cx + rx) + 1))
    if not (len(rows) and len(cols)):
        return None
    mask = ((cols + 0.5 - cx) / rx) ** 2 + ((rows[:, None] + 0.5 - cy) / ry) ** 2 <= 1
    return cropped(mask, (int(rows[0]), int(cols[0])))


def cropped(mask: np.ndarray, offset: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]] | None:
    """Return a mask without empty rows and columns around it; None where it is empty."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    part = mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    return part, (offset[0] + int(rows[0]), offset[1] + int(cols[0]))


def outlines(mask: np.ndarray, offset: tuple[int, int] = (0, 0)) -> list[list[np.ndarray]]:
    """Return the outline of a mask: for each piece its outer ring and its holes, ``(n, 2)`` int64 with x and y.

    Pieces that touch at a corner only are pieces of their own. Rings are not closed: the last corner is not the first.
    Outer rings have a positive area by the shoelace formula, holes a negative one, as GeoJSON (RFC 7946) wants it.
    """
    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded, axis=1)
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    whole = shapely.union_all(shapely.box(starts, rows, ends, rows + 1))
    moved = np.array([offset[1], offset[0]])
    return [
        [_corners(ring) + moved for ring in (turned.exterior, *turned.interiors)]
        for piece in shapely.get_parts(whole)
        if isinstance(piece, shapely.Polygon)
        for turned in (orient(piece),)
    ]


def _corners(ring: shapely.LinearRing) -> np.ndarray:
    """Return the corners of a ring along pixels, without those on a straight line."""
    points = shapely.get_coordinates(ring).astype(np.int64)[:-1]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return points[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]


def one_ring(polygons: Sequence[Polygon]) -> np.ndarray:
    """Return all rings as one, joined by lines that lead there and back and so enclose nothing."""
    first, *others = (ring for polygon in polygons for ring in polygon)
    ring = np.asarray(first)
    for other in others:
        distances, nearest = KDTree(ring).query(other)
        j = int(np.argmin(distances))
        i = int(nearest[j])
        ring = np.concatenate([ring[: i + 1], np.roll(other, -j, axis=0), other[j : j + 1], ring[i:]])
    return ring
