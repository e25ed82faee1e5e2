"""Images that may be too large for memory: opened once, read in parts, at several sizes. Works without torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .channels import Channels, channel_names, check_channels, composite
from .decode import MAX_PIXELS, channels_last, is_tiff, is_zarr, plane_shape
from .errors import UserError
from .images import default_limits, read_image, to_rgb8
from .lazy import Opened, open_lazily
from .pixel_size import pixel_size

#: Index along each axis of planes.
Plane = tuple[int, ...]
#: Larger images, in bytes, are read in parts; smaller ones are quicker in memory.
WHOLE_BELOW = 64 * 2**20
#: Levels are made until the long side has at most so many pixels.
OVERVIEW = 1024


@dataclass(frozen=True, eq=False)
class Picture:
    """An image as it is shown and asked about.

    Attributes
    ----------
    levels : tuple of arrays
        ``(H, W)`` of any real type, or ``(H, W, C)`` uint8 with C of 3 or 4; the first is the image itself, each other
        one has about half as many rows and columns as the one before. numpy where it is in memory, dask where parts are
        read on demand.
    limits : (low, high) or None
        Values that become black and white; None: as :func:`naslora_trainer.images.to_rgb8` chooses.
    pixel_size : (height, width) or None
        Of a pixel, in micrometres, where the file tells.
    """

    levels: tuple[Any, ...]
    limits: tuple[float, float] | None = None
    pixel_size: tuple[float, float] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the image."""
        height, width = self.levels[0].shape[:2]
        return int(height), int(width)

    @property
    def in_parts(self) -> bool:
        """True when it is not in memory as a whole."""
        return not isinstance(self.levels[0], np.ndarray)

    def whole(self) -> np.ndarray:
        """Return all of the image as the models see it, ``(H, W, 3)`` uint8."""
        height, width = self.shape
        return self.rgb8((slice(0, height), slice(0, width)), max(height, width))

    def rgb8(self, window: tuple[slice, slice], most: int) -> np.ndarray:
        """Return a part of the image as the models see it, ``(h, w, 3)`` uint8.

        Parameters
        ----------
        window : tuple of slice
            Rows and columns of the image, with start and stop.
        most : int
            The long side of what is returned; for a larger window each ``n``-th pixel of the level that suits is taken,
            n a power of two.
        """
        factor = factor_of(window, most)
        level = min(factor.bit_length() - 1, len(self.levels) - 1)
        step = factor >> level
        rows, cols = (slice(part.start >> level, -(-part.stop >> level), step) for part in window)
        return to_rgb8(np.asarray(self.levels[level][rows, cols]), self.limits)


def factor_of(window: tuple[slice, slice], most: int) -> int:
    """Return by which power of two a window is reduced so that its long side is at most ``most`` pixels."""
    side = max(part.stop - part.start for part in window)
    return 1 << max(0, (-(-side // most) - 1).bit_length())


def picture_of(image: np.ndarray, limits: tuple[float, float] | None = None) -> Picture:
    """Return an image in memory as a picture; axes and ``limits`` are those of :func:`naslora_trainer.images.to_rgb8`.

    Raises
    ------
    UserError
        The array is no image.
    """
    plane = channels_last(np.asarray(image), "The image")
    if plane.ndim == 3 and not _as_shown(plane):
        return Picture(_halved(to_rgb8(plane, limits)))
    if limits is None and plane.dtype.kind in "uif" and plane.dtype != np.uint8:
        limits = default_limits(plane)
    return Picture(_halved(plane), limits)


def open_picture(
    path: Path | str,
    plane: Plane = (),
    max_pixels: int = MAX_PIXELS,
    whole_below: int = WHOLE_BELOW,
    channels: Channels = (),
) -> Picture:
    """Open an image file, or one plane of a stack or series.

    Parameters
    ----------
    path : Path
        What :func:`naslora_trainer.images.read_image` reads, a stack in a TIFF, or an OME-Zarr folder.
    plane : tuple of int
        Index of the plane, as :func:`planes_of` lists them; empty for an image that is one plane.
    max_pixels : int
        A plane with more pixels is refused.
    whole_below : int
        A plane of more bytes is read in parts, where its format allows that; the file must not change while it is open.
    channels : Channels
        Which channels become red, green and blue, or gray, of an image that has a choice (see :func:`choice_of`).

    Raises
    ------
    UserError
        The file is missing, damaged, too large, has no pixels, or no such plane or channels.
    """
    path = Path(path)
    return replace(_open(path, plane, max_pixels, whole_below, channels), pixel_size=pixel_size(path))


def _open(path: Path, plane: Plane, max_pixels: int, whole_below: int, channels: Channels) -> Picture:
    """Open an image without the size of its pixels."""
    opened = open_lazily(path, max_pixels)
    small = opened is not None and not opened.axes and opened.levels[0].nbytes < whole_below and not is_zarr(path)
    first = opened is not None and bool(opened.axes) and not plane and not is_zarr(path) and not is_tiff(path)
    if opened is None or first or (small and not opened.dyes):  # the first frame of an animation stands for it
        if plane:
            raise _no_plane(path, plane)
        return picture_of(read_image(path, max_pixels))
    return plane_of(path, opened, plane, whole_below, channels)


def plane_of(
    path: Path, opened: Opened, plane: Plane, whole_below: int = WHOLE_BELOW, channels: Channels = ()
) -> Picture:
    """Return one plane of a file that is open; the parameters are those of :func:`open_picture`.

    Raises
    ------
    UserError
        The file has no such plane or channels.
    """
    if len(plane) != len(opened.axes) or any(not 0 <= i < n for i, n in zip(plane, opened.planes, strict=True)):
        raise _no_plane(path, plane)
    levels = tuple(level[plane] for level in opened.levels)
    if levels[0].nbytes < whole_below and (opened.axes or not is_zarr(path)):
        levels = (_in_memory(levels[0]),)
    sized = (*levels[:-1], *_halved(levels[-1]))
    if sized[0].ndim == 3:
        sized = _coloured(path, opened, sized, channels)
    limits = None if sized[0].dtype.kind == "b" or sized[0].dtype == np.uint8 else default_limits(np.asarray(sized[-1]))
    return Picture(sized, limits)


def planes_of(path: Path | str, max_pixels: int = MAX_PIXELS) -> tuple[str, tuple[int, ...]]:
    """Return the axes of planes of a file and their lengths, such as ``("tz", (5, 12))``, without reading pixels.

    Both are empty for an image that is one plane.

    Raises
    ------
    UserError
        It cannot be read as an image.
    """
    opened = open_lazily(Path(path), max_pixels)
    return ("", ()) if opened is None else (opened.axes, opened.planes)


def picture_size(path: Path | str, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return (rows, columns) of an image file, or of each plane of a stack, without reading its pixels.

    Raises
    ------
    UserError
        As :func:`open_picture`, as far as the header shows it.
    """
    path = Path(path)
    opened = open_lazily(path, max_pixels)
    return plane_shape(path, max_pixels) if opened is None else opened.size


def choice_of(path: Path | str, max_pixels: int = MAX_PIXELS) -> tuple[str, ...]:
    """Return the names of the channels of an image file of which some can be chosen; empty: it has no such channels.

    Raises
    ------
    UserError
        It cannot be read as an image.
    """
    opened = open_lazily(Path(path), max_pixels)
    return channel_names(path, opened.channels) if opened is not None and opened.dyes else ()


def check_choice(path: Path | str, channels: Channels, count: int) -> None:
    """Check a choice of channels of a file that has ``count`` of which some can be chosen.

    Raises
    ------
    UserError
        It does not have them.
    """
    try:
        check_channels(channels, count)
    except ValueError as error:
        raise UserError(f"{path} does not have the channels that were chosen for it.", "Choose others.") from error


def _coloured(path: Path, opened: Opened, levels: tuple[Any, ...], channels: Channels) -> tuple[Any, ...]:
    """Return the levels of an image with channels as they are shown."""
    check_choice(path, channels, opened.channels if opened.dyes else 0)
    return levels if not channels and _as_shown(levels[0]) else composite(levels, channels, opened.dyes)


def _as_shown(image: Any) -> bool:
    """Return whether an image with channels is shown as it is."""
    return bool(image.dtype == np.uint8 and image.shape[2] in (3, 4))


def _no_plane(path: Path, plane: Plane) -> UserError:
    where = ", ".join(map(str, plane)) or "without a number"
    return UserError(f"{path} has no plane {where}.", "Open it again, so that its planes are listed anew.")


def _halved(image: Any) -> tuple[Any, ...]:
    """Return an image and, in memory, its halves until :data:`OVERVIEW`: of each 2 x 2 pixels the first."""
    levels: list[Any] = [image]
    while max(levels[-1].shape[:2]) > OVERVIEW:
        half = levels[-1][::2, ::2]
        levels.append(half if isinstance(half, np.ndarray) else _in_memory(half))
    return tuple(levels)


def _in_memory(part: Any) -> np.ndarray:
    """Return a dask array as numpy; one thread, since several would hold more of the image at once."""
    return np.asarray(part.compute(scheduler="synchronous"))
