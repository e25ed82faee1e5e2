"""TIFFs and PNGs that say how large their pixels are, in the words that other programs read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

#: Height and width of a pixel in micrometres, None where nobody knows.
PixelSize = tuple[float, float] | None
#: From so many bytes of pixels on a TIFF is a BigTIFF: compressed, it might not fit into 4 GB either.
BIG = 7 << 29
#: What ImageJ reads: the axes in this order, and 8 and 16 bits without a sign and 32 with a point, as numpy's letters.
_AXES, _TYPES = "TZCYXS", "BHf"
#: The highest number that labels of 16 bits have.
MOST_IN_16 = (1 << 16) - 1
#: Of the two halves of a rational number in a TIFF, and of a PNG's whole number, the largest.
_MOST = (1 << 32) - 1
#: A PNG counts whole pixels for each metre: where rounding changes that by more than this share, it is not told.
_ROUNDED = 1e-3


def label_type(highest: int) -> type:
    """Return the type of labels up to a number: 16 bits, which every program reads, where they fit."""
    return np.uint16 if highest <= MOST_IN_16 else np.int32


def write_tiff(
    path: Path,
    pixels: np.ndarray | Iterator[np.ndarray],
    shape: tuple[int, ...],
    dtype: Any,
    axes: str,
    pixel_um: PixelSize = None,
    depth_um: float | None = None,
    tile: int | None = None,
) -> None:
    """Write a TIFF, as ImageJ does where ImageJ can read it, with the size of its pixels where that is known.

    Others (32 bits of whole numbers, tiles, more than 3.5 GB, axes that ImageJ does not have) tell the height and width
    by the resolution of the TIFF, and no depth.

    Parameters
    ----------
    path : Path
        The file.
    pixels : ndarray or iterator of ndarray
        All of them, or its planes in order; they are made of its type one by one.
    shape : tuple of int
        Of all of them.
    dtype : dtype
        Of all of them.
    axes : str
        A letter for each axis, such as ``zyx``; the last is ``s`` for colours.
    pixel_um, depth_um : (float, float) or None, float or None
        Height and width of a pixel, and from plane to plane along ``z``, in micrometres.
    tile : int, optional
        Side of the tiles of an array that is one plane, so that others need not read all of it.
    """
    axes, big = axes.upper(), int(np.prod(shape)) * np.dtype(dtype).itemsize > BIG
    imagej = not big and tile is None and np.dtype(dtype).char in _TYPES and _in_order(axes)
    tifffile.imwrite(
        path,
        _parts(pixels, dtype, tile),
        shape=shape,
        dtype=dtype,
        bigtiff=big,
        imagej=imagej,
        compression="zlib",
        photometric="rgb" if axes.endswith("S") else "minisblack",
        tile=None if tile is None else (tile, tile),
        **(_for_imagej if imagej else _for_all)(axes, pixel_um, depth_um),
    )


def _parts(
    pixels: np.ndarray | Iterator[np.ndarray], dtype: Any, tile: int | None
) -> np.ndarray | Iterator[np.ndarray]:
    """Return pixels in their type as tifffile wants them: planes, tiles, or all at once."""
    if not isinstance(pixels, np.ndarray):
        return (plane.astype(dtype, copy=False) for plane in pixels)
    if tile is None:
        return pixels.astype(dtype, copy=False)
    rows, cols = (range(0, side, tile) for side in pixels.shape[:2])
    return (pixels[row : row + tile, col : col + tile].astype(dtype) for row in rows for col in cols)


def png_scale(pixel_um: PixelSize) -> dict[str, Any]:
    """Return what :func:`imageio.v3.imwrite` has to be told of a PNG; nothing where the format cannot say it."""
    if pixel_um is None:
        return {}
    metre = [1e6 / side for side in reversed(pixel_um)]
    whole = all(round(n) <= _MOST and abs(round(n) - n) <= _ROUNDED * n for n in metre)
    return {"dpi": tuple(0.0254 * n for n in metre)} if whole else {}


def _in_order(axes: str) -> bool:
    """Return whether axes are some of ImageJ's, in its order."""
    places = [_AXES.find(axis) for axis in axes]
    return places[0] >= 0 and all(a < b for a, b in zip(places, places[1:], strict=False))


def _for_imagej(axes: str, pixel_um: PixelSize, depth_um: float | None) -> dict[str, Any]:
    """Return pixels for each micrometre, and the depth in the same unit."""
    resolution = _resolution(pixel_um, 1)
    told: dict[str, Any] = {"axes": axes}
    if resolution:
        told |= {"unit": "um"} | ({"spacing": depth_um} if depth_um and "Z" in axes else {})
    return resolution | {"metadata": told}


def _for_all(axes: str, pixel_um: PixelSize, depth_um: float | None) -> dict[str, Any]:
    """Return pixels for each centimetre; there is no word for the depth."""
    resolution = _resolution(pixel_um, 1e4)
    return resolution | ({"resolutionunit": "CENTIMETER"} if resolution else {}) | {"metadata": {"axes": axes}}


def _resolution(pixel_um: PixelSize, unit_um: float) -> dict[str, Any]:
    """Return how many pixels a unit has along x and y, where that fits into a TIFF."""
    if pixel_um is None:
        return {}
    found = tuple(unit_um / side for side in reversed(pixel_um))
    return {"resolution": found} if all(1 / _MOST <= n <= _MOST for n in found) else {}
