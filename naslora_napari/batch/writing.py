"""The files that are written for each image of a folder, and for all of them together; one plane is in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import imageio.v3 as iio
import numpy as np
from skimage.segmentation import find_boundaries

from naslora_trainer.data import ids_in
from naslora_trainer.decode import ZARR_SUFFIX
from naslora_trainer.errors import UserError
from naslora_trainer.files import saving, saving_folder
from naslora_trainer.pictures import open_picture

from ..store.formats import FORMATS
from ..store.formats.geojson import features, write_file
from ..store.formats.neutral import Labelled, Place
from ..store.formats.scale import MOST_IN_16, label_type, png_scale, write_tiff
from ..store.manifest import numbered
from ..store.records import ClassInfo
from . import ngff
from .ngff import OBJECTS, Layer, Layout
from .results import LABELS, OUTLINES, OVERLAYS, PLAIN, SEMANTIC, Wanted, labels_in
from .sources import LARGE, Parts
from .table import Table

#: Outlines are drawn on so many pixels at once.
BAND = 1 << 22
#: Side of the tiles of a large label image.
TILE = 512
OUTLINE = (255, 220, 0)
COCO, CLASSES = "coco.json", "classes.csv"


@dataclass(frozen=True)
class Pages:
    """What was found on an image, plane by plane; an image that is one plane is a stack of one without an axis for it.

    Attributes
    ----------
    layout : Layout
        Sizes and axes.
    labels : callable
        Yields the planes of labels, (H, W) int32 each, anew each time.
    rgb : callable
        Yields the planes as the models see them, (H, W, 3) uint8, as arrays or in parts.
    objects : int
        The largest number in the labels.
    classes : ndarray, optional
        (N,) int: number of the class of each object.
    """

    layout: Layout
    labels: Callable[[], Iterator[np.ndarray]]
    rgb: Callable[[], Iterator[np.ndarray | Parts]]
    objects: int
    classes: np.ndarray | None = None


@dataclass(frozen=True)
class Written:
    """An image whose results are on the disk.

    Attributes
    ----------
    name, path : str, Path
        The image, below its folder and on the disk.
    classes : mapping of int to str
        The class of each of its objects, where there are classes.
    axes, planes : str, tuple of int
        A letter for each axis of planes, and their lengths; empty for an image that is one plane.
    """

    name: str
    path: Path
    classes: Mapping[int, str]
    axes: str = ""
    planes: tuple[int, ...] = ()


def write_files(wanted: Wanted, name: str, pages: Pages) -> None:
    """Write the files of an image, each atomically, the label image last.

    Parameters
    ----------
    wanted : Wanted
        Which ones.
    name : str
        Of the image.
    pages : Pages
        What was found on it.

    Raises
    ------
    UserError
        A file cannot be written, or there are more objects than the format can number.
    """
    for what, path in reversed(wanted.files(name, stack=bool(pages.layout.axes)).items()):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ZARR_SUFFIX:
            with saving_folder(path) as folder:
                _write_zarr(folder, wanted, pages)
        else:
            with saving(path) as temporary:
                _WRITERS[what](temporary, wanted, name, pages)


def semantic(labels: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
    """Return the number of the class at each pixel, (H, W) uint8; 1 for all objects where there are no classes."""
    if classes is None:
        return (labels > 0).astype(np.uint8)
    return np.concatenate([[0], classes]).astype(np.uint8)[labels]


def overlay(rgb: np.ndarray | Parts, labels: np.ndarray, colors: np.ndarray | None = None) -> np.ndarray:
    """Return an image (H, W, 3) uint8 with the outlines of its objects, in ``colors`` (N + 1, 3) uint8 by number."""
    height, width = labels.shape
    drawn = np.empty((height, width, 3), np.uint8)
    step = max(1, BAND // width)
    for start in range(0, height, step):  # of a large image a few rows at once, with one more on either side
        rows, around = slice(start, start + step), slice(max(0, start - 1), start + step + 1)
        outlines = find_boundaries(labels[around], mode="inner")[start - around.start :][:step]
        drawn[rows] = rgb[rows, :]
        drawn[rows][outlines] = OUTLINE if colors is None else colors[labels[rows][outlines]]
    return drawn


def write_classes(wanted: Wanted) -> None:
    """Write which number in semantic images, and which colour in overlays, is which class.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    rows = ({"number": info.id, "class": name, "color": info.color} for name, info in wanted.infos.items())
    Table(wanted.out / CLASSES, ("number", "class", "color")).replace(rows)


def write_coco(wanted: Wanted, images: Iterable[Written]) -> None:
    """Write one COCO file for all images, from their label images; each plane of a stack is an image.

    Raises
    ------
    UserError
        A label image cannot be read, or the file cannot be written.
    """
    write = FORMATS["coco"].write
    assert write is not None
    with saving(wanted.out / COCO) as temporary:
        write((labelled for image in images for labelled in _planes_of(wanted, image)), temporary)


def _planes_of(wanted: Wanted, image: Written) -> Iterator[Labelled]:
    for index in np.ndindex(*image.planes):
        labels = labels_in(wanted.labels_of(image.name), index)
        yield _labelled(wanted, image, labels, index)


def _write_labels(path: Path, wanted: Wanted, name: str, pages: Pages) -> None:
    if path.suffix == ".png" and pages.objects > MOST_IN_16:
        raise UserError(f"{name} has more than {MOST_IN_16} objects, which a PNG cannot number.", "Choose TIFF.")
    _write_planes(path, pages.labels(), pages.layout, label_type(pages.objects))


def _write_semantic(path: Path, wanted: Wanted, name: str, pages: Pages) -> None:
    planes = (semantic(labels, pages.classes) for labels in pages.labels())
    _write_planes(path, planes, pages.layout, np.uint8)


def _write_overlay(path: Path, wanted: Wanted, name: str, pages: Pages) -> None:
    colors = _outline_colors(wanted, pages.classes)
    drawn = (overlay(rgb, labels, colors) for rgb, labels in zip(pages.rgb(), pages.labels(), strict=True))
    _write_planes(path, drawn, pages.layout, np.uint8, "s")


def _write_outlines(path: Path, wanted: Wanted, name: str, pages: Pages) -> None:
    of = dict(enumerate(wanted.names_of(pages.classes) or (), start=1))
    image = Written(name, Path(name), of, pages.layout.axes, pages.layout.shape[:-2])
    planes = zip(np.ndindex(*image.planes), pages.labels(), strict=True)
    write_file(path, (one for index, labels in planes for one in features(_labelled(wanted, image, labels, index))))


_WRITERS: dict[str, Callable[[Path, Wanted, str, Pages], None]] = {
    LABELS: _write_labels,
    SEMANTIC: _write_semantic,
    OVERLAYS: _write_overlay,
    OUTLINES: _write_outlines,
}


def _write_planes(path: Path, planes: Iterator[np.ndarray], layout: Layout, dtype: Any, colours: str = "") -> None:
    """Write planes as a TIFF, a large image in tiles, so that others read it in parts; or the only one as a PNG."""
    if path.suffix == ".png":
        iio.imwrite(path, next(planes).astype(dtype, copy=False), **png_scale(layout.pixel_um))
        return
    write_tiff(
        path,
        planes if layout.axes else next(planes),
        (*layout.shape, *[3] * len(colours)),
        dtype,
        f"{layout.axes}yx{colours}",
        layout.pixel_um,
        layout.depth_um,
        None if layout.axes or np.prod(layout.shape) <= LARGE else TILE,
    )


def _write_zarr(folder: Path, wanted: Wanted, pages: Pages) -> None:
    """Write objects, and classes where they are wanted, as one OME-Zarr folder."""
    names = wanted.names_of(pages.classes) or []
    properties = [{"label-value": number, "class": name} for number, name in enumerate(names, start=1)]
    layers = [Layer(OBJECTS, pages.labels(), np.int32, properties=properties)]
    if SEMANTIC in wanted.extras:
        infos = wanted.infos.values()
        colors = [{"label-value": info.id, "rgba": [*_rgb_of(info), 255]} for info in infos]
        told = [{"label-value": info.id, "class": info.name} for info in infos]
        planes = (semantic(labels, pages.classes) for labels in pages.labels())
        layers.append(Layer(ngff.CLASSES, planes, np.uint8, colors, told))
    ngff.write_ngff(folder, pages.layout, layers)


def _outline_colors(wanted: Wanted, classes: np.ndarray | None) -> np.ndarray | None:
    """Return the colour of each object's outline by its number, (N + 1, 3) uint8: that of its class."""
    if classes is None:
        return None
    palette = np.array([OUTLINE, *map(_rgb_of, wanted.infos.values())], np.uint8)
    return palette[np.concatenate([[0], classes])]


def _rgb_of(info: ClassInfo) -> tuple[int, ...]:
    return tuple(bytes.fromhex(info.color.removeprefix("#")))


def _labelled(wanted: Wanted, image: Written, labels: np.ndarray, index: tuple[int, ...]) -> Labelled:
    """Return a plane of an image as formats know it; its file name is the one that a project gives to the plane."""
    infos, name, place = wanted.infos, image.name, None
    if index:
        path = PurePosixPath(name)
        name = str(path.with_name(f"{path.stem}-{numbered(image.axes, image.planes, index)}{path.suffix}"))
        number = int(np.ravel_multi_index(index, image.planes))
        place = Place(image.name, number)
    known = {key: infos.get(image.classes.get(key, ""), PLAIN) for key in ids_in(labels)}
    where = dict(zip(image.axes, index, strict=True))
    picture = partial(open_picture, image.path, index)
    return Labelled(name, name, labels, known, list(infos.values()), picture, where, place)
