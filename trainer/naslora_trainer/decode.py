"""Decoding of image files: the header is checked before a pixel is read."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageOps

from .errors import UserError

#: An image with more pixels is refused.
MAX_PIXELS = 500_000_000

#: What Pillow may open: no format that starts another program.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "JPEG2000", "PPM", "TIFF")
ZARR_SUFFIX = ".zarr"
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
EXIF_ORIENTATION = 0x0112
#: Orientations that swap rows and columns.
TURNED = (5, 6, 7, 8)

#: Pillow's modes that hold the values themselves; the others are converted.
DIRECT_MODES = ("1", "L", "RGB", "RGBA", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def read_pixels(path: Path, max_pixels: int, indices: bool = False) -> np.ndarray:
    """Return the values of an image file: ``(H, W)`` or with a channel axis where the file has it.

    Parameters
    ----------
    path : Path
        The file.
    max_pixels : int
        More pixels are refused before decoding.
    indices : bool
        Of a palette image return the indices ``(H, W)`` in place of the colours.

    Raises
    ------
    UserError
        The file cannot be read as an image.
    """
    try:
        read = _read_tiff if is_tiff(path) else _read_other
        pixels = read(path, max_pixels, indices)
    except UserError:
        raise
    except Exception as error:  # decoders raise nearly everything on damaged files
        raise unreadable(path, error) from error
    if pixels.size == 0:
        raise _no_pixels(path)
    return pixels


def plane_shape(path: Path, max_pixels: int) -> tuple[int, int]:
    """Return (rows, columns) of an image file from its header.

    Raises
    ------
    UserError
        The header is not that of an image.
    """
    try:
        if is_tiff(path):
            with tifffile.TiffFile(path) as tiff:
                shape, channels = tiff_shape(tiff, path, max_pixels)
            return (shape[1], shape[2]) if channels == 0 else (shape[0], shape[1])
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            check_pixels(path, width * height, max_pixels)
            turned = image.getexif().get(EXIF_ORIENTATION) in TURNED
            return (width, height) if turned else (height, width)
    except UserError:
        raise
    except Exception as error:
        raise unreadable(path, error) from error


def channel_axis(shape: tuple[int, ...], name: str, axes: str = "") -> int | None:
    """Return the axis of the channels: None for a plane, 0 or 2.

    Raises
    ------
    UserError
        The shape is not that of an image.
    """
    if 0 in shape:
        raise _no_pixels(name)
    if len(shape) == 2:
        return None
    if len(shape) == 3:
        if axes.endswith("S") and shape[2] <= 4:
            return 2
        if 2 <= shape[0] <= 4 and shape[2] > 4:
            return 0
        if shape[2] <= 4:
            return 2
        if shape[0] == 1:
            return 0
    raise UserError(
        f"{name} is not a plane with up to four channels: its axes have sizes {' x '.join(map(str, shape))}.",
        "Save the plane you want to segment as an image of its own.",
    )


def channels_last(array: np.ndarray, name: str) -> np.ndarray:
    """Return an image as ``(H, W)`` or ``(H, W, C)`` with C of 2 to 4.

    Raises
    ------
    UserError
        The array has other axes or no pixels; ``name`` is for the sentence.
    """
    axis = channel_axis(array.shape, name)
    if axis is None:
        return array
    moved = np.moveaxis(array, axis, 2)
    return moved[..., 0] if moved.shape[2] == 1 else moved


def is_zarr(path: Path) -> bool:
    """Return whether a path is a folder that is named like a zarr store."""
    return path.suffix.lower() == ZARR_SUFFIX and path.is_dir()


def is_tiff(path: Path) -> bool:
    """Return whether the first bytes are those of a TIFF."""
    with open(path, "rb") as file:
        return file.read(4) in TIFF_SIGNATURES


def tiff_shape(tiff: tifffile.TiffFile, path: Path, max_pixels: int) -> tuple[tuple[int, ...], int | None]:
    """Return the shape of the first image of a TIFF and the axis of its channels, if it has them.

    An axis of length 1 is dropped unless it is that of the rows or the columns.
    """
    series = tiff.series[0]
    pairs = zip(series.shape, series.axes, strict=True)
    kept = [(size, axis) for size, axis in pairs if size != 1 or axis in "YX"]
    shape = tuple(int(size) for size, _ in kept)
    channels = channel_axis(shape, str(path), "".join(axis for _, axis in kept))
    check_pixels(path, math.prod(size for axis, size in enumerate(shape) if axis != channels), max_pixels)
    return shape, channels


def _read_tiff(path: Path, max_pixels: int, indices: bool) -> np.ndarray:
    """Return the first image of a TIFF."""
    with tifffile.TiffFile(path) as tiff:
        shape, axis = tiff_shape(tiff, path, max_pixels)
        page = tiff.series[0].keyframe
        check_complete(tiff, path)
        pixels = tiff.series[0].asarray().reshape(shape)
        colours = page.colormap if page.photometric == tifffile.PHOTOMETRIC.PALETTE else None
    if colours is not None and not indices and pixels.ndim == 2:
        return np.moveaxis(colours[:, pixels] >> 8, 0, 2).astype(np.uint8)
    return pixels if axis is None else np.moveaxis(pixels, axis, 2)


def check_complete(tiff: tifffile.TiffFile, path: Path) -> None:
    """Check that every part of the first image lies within the file: a missing one would be read as zeros."""
    size = path.stat().st_size
    for page in tiff.series[0].pages:
        if page is None:
            continue
        ends = (start + length for start, length in zip(page.dataoffsets, page.databytecounts, strict=False))
        if max(ends, default=0) > size:
            raise UserError(f"{path} is cut off.", "Copy the file again.")


def _read_other(path: Path, max_pixels: int, indices: bool) -> np.ndarray:
    """Return the first frame of a file that Pillow reads."""
    with Image.open(path, formats=FORMATS) as image:
        check_pixels(path, image.width * image.height, max_pixels)
        upright = ImageOps.exif_transpose(image)
        if upright.mode in DIRECT_MODES or (indices and upright.mode == "P"):
            return np.array(upright)
        return np.array(upright.convert("L" if upright.mode in ("LA", "La") else "RGB"))


def check_pixels(path: Path, pixels: int, max_pixels: int) -> None:
    """Refuse an image without pixels or with too many."""
    if pixels == 0:
        raise _no_pixels(path)
    if pixels > max_pixels:
        raise _too_large(path, f"{pixels:,} pixels; {max_pixels:,} are allowed")


def _no_pixels(name: Path | str) -> UserError:
    return UserError(f"{name} has no pixels.", "Choose another image.")


def _too_large(path: Path, why: str) -> UserError:
    return UserError(f"{path} is too large: {why}.", "Cut it into smaller tiles.")


def unreadable(path: Path, error: Exception) -> UserError:
    """Return the sentence for what a decoder raised."""
    if isinstance(error, FileNotFoundError):
        return UserError(f"{path} does not exist.", "Check the path.")
    if isinstance(error, IsADirectoryError) or path.is_dir():
        return UserError(f"{path} is a folder, not an image.")
    if isinstance(error, Image.DecompressionBombError | MemoryError):
        return _too_large(path, "its header asks for more memory than is sensible")
    if isinstance(error, PermissionError):
        return UserError(f"{path} may not be read.", "Check the permissions of the file.")
    return UserError(
        f"{path} could not be read as an image.",
        "It may be damaged, empty or of a format that is not supported.",
    )
