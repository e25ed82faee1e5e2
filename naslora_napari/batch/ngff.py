"""Label images as OME-Zarr (OME-NGFF 0.5): chunks that others read in parts, at several sizes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from naslora_trainer.errors import UserError
from naslora_trainer.pictures import OVERVIEW

if TYPE_CHECKING:
    import zarr

VERSION = "0.5"
#: Side of a chunk, in pixels.
CHUNK = 512
#: Of the label images in a folder.
OBJECTS, CLASSES = "objects", "classes"
#: What kind an axis is, by its letter.
_TYPES = {"t": "time", "z": "space", "y": "space", "x": "space"}


@dataclass(frozen=True)
class Layout:
    """Sizes and axes of label images.

    Attributes
    ----------
    shape : tuple of int
        (planes ..., H, W).
    axes : str
        A letter for each axis of planes, such as ``tz``.
    pixel_um : (float, float) or None
        Height and width of a pixel in micrometres.
    depth_um : float or None
        From one plane along ``z`` to the next, in micrometres.
    """

    shape: tuple[int, ...]
    axes: str = ""
    pixel_um: tuple[float, float] | None = None
    depth_um: float | None = None

    @property
    def levels(self) -> int:
        """How many sizes there are, each half of the one before, until one has at most 1024 pixels on a side."""
        longest = -(-max(self.shape[-2:]) // OVERVIEW)
        return 1 + max(0, (longest - 1).bit_length())

    def multiscale(self, name: str, folder: str = "") -> dict[str, Any]:
        """Return what a reader has to know of the arrays in a folder below the group."""
        sides = dict(zip("yx", self.pixel_um or (), strict=False)) | ({"z": self.depth_um} if self.depth_um else {})
        axes: list[dict[str, str]] = [{"name": axis} for axis in f"{self.axes}yx"]
        for axis in axes:
            if axis["name"] in _TYPES:
                axis["type"] = _TYPES[axis["name"]]
            if axis["name"] in sides:
                axis["unit"] = "micrometer"
        fine = [float(sides.get(axis, 1)) for axis in f"{self.axes}yx"]
        datasets = []
        for level in range(self.levels):
            scale = [*fine[:-2], *(side * 2**level for side in fine[-2:])]
            datasets.append(
                {"path": f"{folder}{level}", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
            )
        return {"name": name, "axes": axes, "datasets": datasets, "type": "nearest"}


@dataclass(frozen=True)
class Layer:
    """A label image: its planes (H, W) in order, their type, and the colour and properties of labels that have some."""

    name: str
    planes: Iterable[np.ndarray]
    dtype: Any
    colors: Sequence[dict[str, Any]] = ()
    properties: Sequence[dict[str, Any]] = ()


def write_ngff(folder: Path, layout: Layout, layers: Sequence[Layer]) -> None:
    """Write label images below ``labels/`` of a new folder; one plane is in memory.

    A group of labels belongs to an image: that is the first of them here, so that whatever opens images opens it.

    Parameters
    ----------
    folder : Path
        It must not exist.
    layout : Layout
        Of all of them.
    layers : sequence of Layer
        The label images.
    """
    import zarr

    root = zarr.open_group(folder, mode="w-", zarr_format=3)
    first = layout.multiscale(layers[0].name, f"labels/{layers[0].name}/")
    root.attrs["ome"] = {"version": VERSION, "multiscales": [first]}
    labels = root.create_group("labels")
    labels.attrs["ome"] = {"version": VERSION, "labels": [layer.name for layer in layers]}
    for layer in layers:
        group = labels.create_group(layer.name)
        about: dict[str, Any] = {"source": {"image": "../../"}}
        about |= {key: list(values) for key in ("colors", "properties") if (values := getattr(layer, key))}
        group.attrs["ome"] = {
            "version": VERSION, "multiscales": [layout.multiscale(layer.name)], "image-label": about,
        }  # fmt: skip
        _write(group, layout, layer)


def read_ngff(folder: Path, name: str = OBJECTS, plane: tuple[int, ...] = ()) -> np.ndarray:
    """Return a label image that :func:`write_ngff` has written, or one of its planes.

    Raises
    ------
    UserError
        It cannot be read, or there is no such plane.
    """
    import zarr

    try:
        found = zarr.open_array(folder / "labels" / name / "0", mode="r")
        return np.asarray(found[plane or ...])
    except Exception as error:  # zarr raises nearly everything on damaged folders
        raise UserError(f"{folder} could not be read as labels.", "Segment the image again.") from error


def _write(group: zarr.Group, layout: Layout, layer: Layer) -> None:
    """Write the arrays of a label image: of each 2 x 2 pixels a smaller one has the first."""
    planes, size = layout.shape[:-2], layout.shape[-2:]
    arrays = []
    for level in range(layout.levels):
        shape = tuple(-(-side // 2**level) for side in size)
        chunks = (*[1] * len(planes), *(min(CHUNK, side) for side in shape))
        names = [*layout.axes, "y", "x"]
        arrays.append(
            group.create_array(
                str(level), shape=(*planes, *shape), chunks=chunks, dtype=layer.dtype, dimension_names=names
            )
        )
    for index, plane in zip(np.ndindex(*planes), layer.planes, strict=True):
        for level, array in enumerate(arrays):
            array[index] = plane[:: 2**level, :: 2**level]
