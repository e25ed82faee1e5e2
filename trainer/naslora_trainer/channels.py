"""Which channels of an image become red, green and blue, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from .decode import is_tiff, is_zarr
from .images import default_limits, to_rgb8
from .ome import ome_attributes, ome_xml

#: For red, green and blue the number of a channel, from 0 on, or :data:`NONE`; a single number: in gray; empty: as the
#: file suggests.
Channels = tuple[int, ...]
NONE = -1
#: What a channel without a name is called, before its number.
PLAIN = "channel "
_LONGEST_NAME = 40


def check_channels(channels: Channels, count: int) -> None:
    """Check a choice of channels of an image that has ``count``.

    Raises
    ------
    ValueError
        It is neither one channel, nor three of which one is there, nor empty.
    """
    if channels and (len(channels) not in (1, 3) or not all(NONE <= channel < count for channel in channels)):
        raise ValueError(f"channels {channels} of {count}")
    if channels and max(channels) == NONE:
        raise ValueError("no channel at all")


def composite(levels: Sequence[Any], channels: Channels, apart: bool) -> tuple[Any, ...]:
    """Return an image with channels as it is shown and as models see it.

    Parameters
    ----------
    levels : sequence of arrays
        ``(H, W, C)``, each smaller than the one before, in memory or dask; the last one is read for the contrast.
    channels : Channels
        What is chosen; empty: the first three.
    apart : bool
        Whether each channel has a contrast of its own (dyes), or all the same one (the colours of a camera).

    Returns
    -------
    tuple of arrays
        ``(H, W)`` of the file's type for a single channel, else ``(H, W, 3)`` uint8, which unlike other types needs no
        more contrast.
    """
    count = levels[0].shape[2]
    if len(channels) == 1:
        return tuple(level[..., channels[0]] for level in levels)
    chosen = channels or tuple(i if i < count else NONE for i in range(3))
    small = np.asarray(levels[-1])
    if apart:
        limits = [default_limits(small[..., i]) if i != NONE else (0.0, 0.0) for i in chosen]
    else:
        limits = [default_limits(small[..., [i for i in chosen if i != NONE]])] * 3

    def shown(part: np.ndarray) -> np.ndarray:
        planes = [_shown(part[..., i], pair) if i != NONE else None for i, pair in zip(chosen, limits, strict=True)]
        empty = np.zeros(part.shape[:2], np.uint8)
        return np.stack([empty if plane is None else plane for plane in planes], axis=2)

    return tuple(_mapped(level, shown) for level in levels)


def channel_names(path: Path | str, count: int) -> tuple[str, ...]:
    """Return what the ``count`` channels of a file are called there (OME-TIFF, ImageJ, OME-Zarr), or their numbers."""
    path = Path(path)
    try:
        found = _of_zarr(path) if is_zarr(path) else _of_tiff(path) if is_tiff(path) else []
    except Exception:  # metadata from outside is of any shape
        found = []
    names = [" ".join(str(name).split())[:_LONGEST_NAME] for name in found[:count]]
    names += [""] * (count - len(names))
    return tuple(name or f"{PLAIN}{i}" for i, name in enumerate(names, 1))


def _shown(plane: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Return one channel as uint8."""
    return to_rgb8(plane, None if plane.dtype == np.uint8 else limits)[..., 0]


def _mapped(level: Any, shown: Any) -> Any:
    """Return ``shown`` of an array, part for part where it is a dask array."""
    if isinstance(level, np.ndarray):
        return shown(level)
    together = level.rechunk({2: level.shape[2]})
    return together.map_blocks(
        shown, dtype=np.uint8, chunks=(*together.chunks[:2], (3,)), meta=np.zeros((0, 0, 0), "u1")
    )


def _of_tiff(path: Path) -> Sequence[Any]:
    with tifffile.TiffFile(path) as tiff:
        xml = ome_xml(tiff)
        if xml is not None:
            return [channel.get("Name", "") for channel in xml.iterfind(".//{*}Channel")]
        labels = (tiff.imagej_metadata or {}).get("Labels", [])
        return labels if isinstance(labels, list) else []


def _of_zarr(path: Path) -> Sequence[Any]:
    import zarr

    channels = ome_attributes(zarr.open_group(path, mode="r"))["omero"]["channels"]
    return [channel.get("label", "") for channel in channels]
