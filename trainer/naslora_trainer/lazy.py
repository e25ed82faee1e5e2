"""Image files read in parts, as dask arrays: TIFFs through tifffile, OME-Zarr through zarr, animations by frames."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import tifffile

from .animated import is_animated, open_frames
from .decode import channel_axis, check_complete, check_pixels, is_tiff, is_zarr
from .errors import UserError
from .ome import ome_attributes

#: A chunk is decoded as a whole, so a file may not ask for larger ones, in bytes.
LARGEST_CHUNK = 512 * 2**20
#: A codec of numcodecs that runs what it finds in the file.
_UNSAFE = "pickle"
#: Files with more channels are refused.
MOST_CHANNELS = 64


@dataclass(frozen=True)
class Opened:
    """A file whose pixels are read when they are asked for.

    Attributes
    ----------
    levels : tuple of dask arrays
        (planes ..., H, W) or (planes ..., H, W, C) with C of 2 or more, each with about half as many rows and columns
        as the one before.
    axes : str
        A letter for each axis of planes, such as ``tz``; empty for an image that is one plane.
    dyes : bool
        Whether the channels are those of a microscope, not the colours of a camera.
    """

    levels: tuple[Any, ...]
    axes: str
    dyes: bool = False

    @property
    def planes(self) -> tuple[int, ...]:
        """Lengths of the axes of planes."""
        return tuple(int(size) for size in self.levels[0].shape[: len(self.axes)])

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of a plane."""
        rows, cols = self.levels[0].shape[len(self.axes) : len(self.axes) + 2]
        return int(rows), int(cols)

    @property
    def channels(self) -> int:
        """How many channels a plane has; 1 where it has no axis for them."""
        shape = self.levels[0].shape[len(self.axes) + 2 :]
        return int(shape[0]) if shape else 1


def open_lazily(path: Path, max_pixels: int) -> Opened | None:
    """Open a TIFF, an OME-Zarr folder or an animation without reading pixels.

    Returns
    -------
    Opened or None
        None where the file cannot be read in parts.

    Raises
    ------
    UserError
        It cannot be read as an image, or its planes have more than ``max_pixels`` pixels.
    """
    try:
        found = _open_zarr(path) if is_zarr(path) else _open_tiff(path) if is_tiff(path) else _open_animation(path)
    except UserError:
        raise
    except Exception as error:  # decoders raise nearly everything on damaged files
        if is_zarr(path):
            raise UserError(f"{path} could not be read as an OME-Zarr image.", "It may be damaged.") from error
        return None  # whoever reads it as a whole says what is wrong
    if found is not None:
        check_pixels(path, math.prod(found.size), max_pixels)
    return found


def _open_tiff(path: Path) -> Opened | None:
    import dask.array as da
    import zarr

    tiff = tifffile.TiffFile(path)  # stays open as long as the arrays that read from it
    tiff.filehandle.lock = True  # the window and the model read at the same time
    series = tiff.series[0]
    order, axes, dyes = _layout(path, [int(size) for size in series.shape], series.axes)
    if series.keyframe.photometric == tifffile.PHOTOMETRIC.PALETTE and not axes:
        tiff.close()
        return None
    check_complete(tiff, path)
    levels: list[Any] = []
    for number in range(len(series.levels)):
        stored = zarr.open_array(series.aszarr(level=number), mode="r")
        check_chunks(path, stored)
        levels.append(_ordered(da.from_array(stored, chunks=stored.chunks, name=False, asarray=True), order))
    return Opened(_halves(levels, len(axes)), axes, dyes)


def _open_animation(path: Path) -> Opened | None:
    return Opened((open_frames(path),), "t") if is_animated(path) else None


def _layout(path: Path, sizes: Sequence[int], names: str) -> tuple[list[int], str, bool]:
    """Return the axes to keep, planes first and channels last, the letters of those of planes, and :attr:`Opened.dyes`.

    Axes of length 1 are left out. Where a file does not name its axes, up to four planes are taken for channels.

    Raises
    ------
    UserError
        What is left is no plane with channels.
    """
    kept = [axis for axis, size in enumerate(sizes) if size != 1 or names[axis] in "YX"]
    planes = [axis for axis in kept if names[axis] not in "YXSC"]
    if not any(names[axis] in "TZ" for axis in planes) and len(kept) == 3:
        unnamed = [sizes[axis] for axis in kept]
        if names[kept[-1]] == "S" or (2 <= unnamed[0] <= 4 and unnamed[2] > 4) or unnamed[2] <= 4:
            planes = []
    image = [axis for axis in kept if axis not in planes]
    named = "".join(names[axis] for axis in image)
    shape = tuple(sizes[axis] for axis in image)
    dyes = len(image) == 3 and named.count("C") == 1
    if dyes and shape[named.index("C")] > MOST_CHANNELS:
        raise UserError(f"{path} has more than {MOST_CHANNELS} channels.", "Save those that show the objects.")
    channels = named.index("C") if dyes else channel_axis(shape, str(path), named)
    if channels is not None:
        image.append(image.pop(channels))
    return [*planes, *image], "".join(names[axis] for axis in planes).lower(), dyes


def _ordered(array: Any, order: Sequence[int]) -> Any:
    """Return an array with some of its axes, in an order; the others have length 1."""
    import dask.array as da

    chosen = array[tuple(slice(None) if axis in order else 0 for axis in range(array.ndim))]
    left = sorted(order)
    return da.transpose(chosen, [left.index(axis) for axis in order])


def _open_zarr(path: Path) -> Opened:
    import dask.array as da
    import zarr

    group = zarr.open_group(path, mode="r")
    names, datasets = _multiscale(path, group)
    if any(len(name) != 1 for name in names) or not {"y", "x"} <= set(names):
        raise ValueError("no rows and columns among the axes")
    levels: list[Any] = []
    order: list[int] = []
    axes, dyes = "", False
    for dataset in datasets:
        stored = group[dataset]
        if not isinstance(stored, zarr.Array) or stored.ndim != len(names):
            raise ValueError("not an array of the axes that are named")
        check_chunks(path, stored)
        if not levels:
            order, axes, dyes = _layout(path, stored.shape, "".join(names).upper())
        levels.append(_ordered(da.from_array(stored, chunks=stored.chunks, name=False, asarray=True), order))
    return Opened(_halves(levels, len(axes)), axes, dyes)


def _multiscale(path: Path, group: Any) -> tuple[list[str], list[str]]:
    """Return the names of the axes and the paths of the levels (OME-NGFF 0.4 and 0.5)."""
    found = ome_attributes(group).get("multiscales")
    if not found:
        raise UserError(f"{path} holds no image: it has no OME-Zarr 'multiscales'.", "Choose the folder of one image.")
    names = [axis["name"] for axis in found[0]["axes"]]
    datasets = [str(dataset["path"]) for dataset in found[0]["datasets"]]
    if any(".." in PurePosixPath(dataset).parts or dataset.startswith("/") for dataset in datasets):
        raise UserError(f"{path} refers to data outside itself.", "Do not use it.")
    return names, datasets


def check_chunks(path: Path, stored: Any) -> None:
    """Refuse what would run code, take much memory for one pixel, or is no image."""
    metadata = json.dumps(stored.metadata.to_dict(), default=str)
    if f'"{_UNSAFE}"' in metadata or stored.dtype.kind not in "biuf":
        raise UserError(f"{path} holds values of type {stored.dtype}, not numbers.", "Do not use it.")
    if math.prod(stored.chunks) * stored.dtype.itemsize > LARGEST_CHUNK:
        raise UserError(f"{path} can only be read in parts of more than 512 MB.", "Save it with tiles of 512 pixels.")


def _halves(levels: Sequence[Any], planes: int) -> tuple[Any, ...]:
    """Return the levels as long as each has half as many rows and columns as the one before, after ``planes`` axes."""
    kept = [levels[0]]
    rest = [*range(planes), *range(planes + 2, levels[0].ndim)]
    for level in levels[1:]:
        pairs = [(kept[-1].shape[axis], level.shape[axis]) for axis in (planes, planes + 1)]
        same = all(level.shape[axis] == levels[0].shape[axis] for axis in rest)
        if not same or any(abs(old / 2 - new) > 1 for old, new in pairs):
            break
        kept.append(level)
    return tuple(kept)
