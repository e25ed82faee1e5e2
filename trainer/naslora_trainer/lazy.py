"""Image files that are read in parts, as dask arrays: large TIFFs through tifffile, OME-Zarr folders through zarr."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import tifffile

from .decode import check_complete, check_pixels, is_tiff, is_zarr, tiff_shape, unreadable
from .errors import UserError

#: A chunk is decoded as a whole, so a file may not ask for larger ones, in bytes.
LARGEST_CHUNK = 512 * 2**20
#: A codec of numcodecs that runs what it finds in the file.
_UNSAFE = "pickle"


def lazy_levels(path: Path, max_pixels: int, whole_below: int) -> tuple[Any, ...] | None:
    """Open an image and its smaller copies as dask arrays, ``(H, W)`` or ``(H, W, C)``, the largest first.

    Parameters
    ----------
    path : Path
        The file or OME-Zarr folder.
    max_pixels : int
        More pixels are refused.
    whole_below : int
        Files whose pixels take fewer bytes are not opened.

    Returns
    -------
    tuple or None
        Each level has half as many rows and columns as the one before; None where the file is to be read as a whole,
        since it is small or its format has no parts.

    Raises
    ------
    UserError
        It cannot be read as an image.
    """
    try:
        if is_zarr(path):
            return _zarr_levels(path, max_pixels)
        return _tiff_levels(path, max_pixels, whole_below) if is_tiff(path) else None
    except UserError:
        raise
    except Exception as error:  # decoders raise nearly everything on damaged files
        if is_zarr(path):
            raise UserError(f"{path} could not be read as an OME-Zarr image.", "It may be damaged.") from error
        raise unreadable(path, error) from error


def zarr_shape(path: Path, max_pixels: int) -> tuple[int, int]:
    """Return (rows, columns) of the image in an OME-Zarr folder.

    Raises
    ------
    UserError
        It holds no image.
    """
    levels = lazy_levels(path, max_pixels, 0)
    assert levels is not None
    return int(levels[0].shape[0]), int(levels[0].shape[1])


def _tiff_levels(path: Path, max_pixels: int, whole_below: int) -> tuple[Any, ...] | None:
    import dask.array as da
    import zarr

    tiff = tifffile.TiffFile(path)  # stays open as long as the arrays that read from it
    tiff.filehandle.lock = True  # the window and the model read at the same time
    shape, channels = tiff_shape(tiff, path, max_pixels)
    series = tiff.series[0]
    palette = series.keyframe.photometric == tifffile.PHOTOMETRIC.PALETTE
    if math.prod(shape) * series.dtype.itemsize < whole_below or palette:
        tiff.close()
        return None
    check_complete(tiff, path)
    levels = []
    for number, level in enumerate(series.levels):
        stored = zarr.open_array(series.aszarr(level=number), mode="r")
        _check_chunks(path, stored)
        array = da.from_array(stored, chunks=stored.chunks, name=False, asarray=True)
        array = array[tuple(0 if size == 1 and axis not in "YX" else slice(None) for size, axis in _axes(level))]
        levels.append(array if channels is None else da.moveaxis(array, channels, 2))
    return _halves(levels)


def _axes(series: tifffile.TiffPageSeries) -> list[tuple[int, str]]:
    return list(zip(series.shape, series.axes, strict=True))


def _zarr_levels(path: Path, max_pixels: int) -> tuple[Any, ...]:
    import dask.array as da
    import zarr

    group = zarr.open_group(path, mode="r")
    names, datasets = _multiscale(path, group)
    levels = []
    for dataset in datasets:
        stored = group[dataset]
        if not isinstance(stored, zarr.Array) or stored.ndim != len(names):
            raise ValueError("not an array of the axes that are named")
        _check_chunks(path, stored)
        levels.append(_plane(path, da.from_array(stored, chunks=stored.chunks, name=False, asarray=True), names))
    check_pixels(path, math.prod(levels[0].shape[:2]), max_pixels)
    return _halves(levels)


def _multiscale(path: Path, group: Any) -> tuple[list[str], list[str]]:
    """Return the names of the axes and the paths of the levels (OME-NGFF 0.4 and 0.5)."""
    attributes = dict(group.attrs)
    found = attributes.get("ome", attributes).get("multiscales")
    if not found:
        raise UserError(f"{path} holds no image: it has no OME-Zarr 'multiscales'.", "Choose the folder of one image.")
    names = [axis["name"] for axis in found[0]["axes"]]
    datasets = [str(dataset["path"]) for dataset in found[0]["datasets"]]
    if any(".." in PurePosixPath(dataset).parts or dataset.startswith("/") for dataset in datasets):
        raise UserError(f"{path} refers to data outside itself.", "Do not use it.")
    return names, datasets


def _plane(path: Path, array: Any, names: Sequence[str]) -> Any:
    """Return the only plane of an array as (H, W) or (H, W, C)."""
    import dask.array as da

    kept = [axis for axis, name in enumerate(names) if array.shape[axis] > 1 or name in ("y", "x")]
    order = [names[axis] for axis in kept]
    if sorted(order) not in (["x", "y"], ["c", "x", "y"]) or ("c" in order and array.shape[names.index("c")] > 4):
        sizes = ", ".join(f"{name} {size}" for name, size in zip(names, array.shape, strict=True))
        raise UserError(
            f"{path} is not a plane with up to four channels: its axes are {sizes}.",
            "Save the plane you want to segment as an image of its own.",
        )
    plane = array[tuple(slice(None) if axis in kept else 0 for axis in range(array.ndim))]
    return da.transpose(plane, [order.index(name) for name in "yxc" if name in order])


def _check_chunks(path: Path, stored: Any) -> None:
    """Refuse what would run code, take much memory for one pixel, or is no image."""
    metadata = json.dumps(stored.metadata.to_dict(), default=str)
    if f'"{_UNSAFE}"' in metadata or stored.dtype.kind not in "biuf":
        raise UserError(f"{path} holds values of type {stored.dtype}, not numbers.", "Do not use it.")
    if math.prod(stored.chunks) * stored.dtype.itemsize > LARGEST_CHUNK:
        raise UserError(f"{path} can only be read in parts of more than 512 MB.", "Save it with tiles of 512 pixels.")


def _halves(levels: Sequence[Any]) -> tuple[Any, ...]:
    """Return the levels as long as each has half as many rows and columns as the one before."""
    kept = [levels[0]]
    for level in levels[1:]:
        pairs = zip(kept[-1].shape[:2], level.shape[:2], strict=True)
        if level.shape[2:] != levels[0].shape[2:] or any(abs(old / 2 - new) > 1 for old, new in pairs):
            break
        kept.append(level)
    return tuple(kept)
