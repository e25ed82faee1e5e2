"""File > Save Selected Layers: an image and its labels become a project."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from naslora_trainer.decode import is_zarr
from naslora_trainer.errors import UserError
from naslora_trainer.files import not_saved, saving
from naslora_trainer.images import read_image
from naslora_trainer.pictures import planes_of
from naslora_trainer.pixel_size import UNITS

from ..store import Project
from ..store.formats.scale import write_tiff
from .opening import SUFFIX

Layer = tuple[Any, dict[str, Any], str]


def write_project(path: str, layers: Sequence[Layer]) -> list[str]:
    """Save an image layer and a labels layer as a new project.

    The project refers to the file of the image where that holds the same pixels; else the image is saved as a TIFF
    beside the project.

    Parameters
    ----------
    path : str
        The project's folder; ``.naslora`` is added where it is missing.
    layers : sequence of (data, attributes, type)
        One image, a plane or a stack, and labels of its size if there are some, in any order.

    Returns
    -------
    list of str
        What was written: the project, and the TIFF if there is one.

    Raises
    ------
    UserError
        The layers do not fit each other, the project exists already, or it cannot be written.
    """
    folder = Path(path).absolute()
    folder = folder if folder.suffix == SUFFIX else folder.with_name(folder.name + SUFFIX)
    data, attributes, _ = next(layer for layer in layers if layer[2] == "image")
    pixels = _first_level(data, attributes)
    rgb = bool(attributes.get("rgb"))
    given = next((layer for layer in layers if layer[2] == "labels"), None)
    size = pixels.shape[:-1] if rgb else pixels.shape
    labels = np.zeros(size, np.uint8) if given is None else _first_level(*given[:2])
    _check(pixels, labels, size, attributes.get("name", ""))
    if folder.exists():
        raise UserError(f"{folder} exists already.", "Choose another name; no project is overwritten.")
    image = _file_of(attributes.get("name", ""), pixels)
    written = [] if image is not None else [_write_image(folder.with_suffix(".tif"), pixels, rgb, attributes)]
    project = Project.create(folder, [image or written[0]])
    for entry in project.images:
        plane = labels[entry.plane]
        if plane.any():
            project.import_labels(entry.name, plane, False)
    return [str(folder), *map(str, written)]


def _first_level(data: Any, attributes: dict[str, Any]) -> np.ndarray:
    """Return the data of a layer in full size."""
    return np.asarray(data[0] if attributes.get("multiscale") else data)


def _check(pixels: np.ndarray, labels: np.ndarray, size: tuple[int, ...], name: str) -> None:
    """Check that a labels layer fits an image layer of ``size`` that can be saved."""
    if pixels.dtype.kind not in "biuf" or not 2 <= len(size) <= 4:
        raise UserError(f"The layer '{name}' is no image, or has more than four axes.", "Select an image or a stack.")
    if labels.shape != size:
        raise UserError(
            f"The labels are of {' x '.join(map(str, labels.shape))} pixels, the layer '{name}' of "
            f"{' x '.join(map(str, size))}.",
            "Select the image that the labels belong to.",
        )


def _file_of(name: str, pixels: np.ndarray) -> Path | None:
    """Return the file that the image layer of a name was read from, where it holds these pixels in one plane."""
    from napari import current_viewer

    viewer = current_viewer()
    source = viewer.layers[name].source.path if viewer is not None and name in viewer.layers else None
    path = Path(source) if source else None
    if path is None or is_zarr(path) or not path.is_file():
        return None
    try:
        same = not planes_of(path)[0] and np.array_equal(read_image(path), pixels)
    except UserError:
        return None
    return path if same else None


def _write_image(path: Path, pixels: np.ndarray, rgb: bool, attributes: dict[str, Any]) -> Path:
    """Save an image as a TIFF of a new name, with the size of its pixels where the layer tells it; return the file."""
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    path = next(free for free in itertools.chain([path], numbered) if not free.exists())
    planes = pixels.ndim - 2 - rgb
    axes = f"{'tz'[2 - planes :]}yx{'s' if rgb else ''}"
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_saved(path, error) from error
    with saving(path) as temporary:
        write_tiff(temporary, pixels, pixels.shape, pixels.dtype, axes, *_sides(attributes))
    return path


def _sides(attributes: dict[str, Any]) -> tuple[tuple[float, float] | None, float | None]:
    """Return height and width of a pixel, and the depth of a voxel, in micrometres, where the layer tells them."""
    told = list(zip(attributes.get("scale") or (), attributes.get("units") or (), strict=False))
    lengths = [scale * UNITS[str(unit)] if str(unit) in UNITS and scale > 0 else None for scale, unit in told]
    depth, height, width = ([None] * 3 + lengths)[-3:]
    return (height, width) if height and width else None, depth
