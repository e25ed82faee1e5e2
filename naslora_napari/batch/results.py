"""The files that are written for each image of a folder, and for all of them together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import tifffile
from skimage.segmentation import find_boundaries

from naslora_trainer.data import ids_in
from naslora_trainer.decode import ZARR_SUFFIX
from naslora_trainer.errors import UserError
from naslora_trainer.files import saving, saving_folder
from naslora_trainer.images import read_labels
from naslora_trainer.pictures import open_picture

from ..store.formats import FORMATS
from ..store.formats.geojson import SUFFIX as GEOJSON
from ..store.formats.neutral import Labelled
from ..store.manifest import COLORS
from ..store.records import ClassInfo
from . import ngff
from .ngff import OBJECTS, Layer, Layout, read_ngff
from .sources import LARGE, Parts
from .table import Table

#: Of label images, by the name of their format.
SUFFIXES = {"tiff": ".tif", "png": ".png", "zarr": ZARR_SUFFIX}
#: What else can be written.
EXTRAS = ("overlays", "geojson", "coco", "semantic")
OVERLAYS, SEMANTIC = "overlays", "semantic"
#: Outlines are drawn on so many pixels at once.
BAND = 1 << 22
#: Side of the tiles of a large label image.
TILE = 512
OUTLINE = (255, 220, 0)
COCO, CLASSES = "coco.json", "classes.csv"
#: The class of objects without one.
PLAIN = ClassInfo(1, "object", "#ffdc00")


@dataclass(frozen=True)
class Wanted:
    """What a person wants of each image.

    Attributes
    ----------
    out : Path
        The folder of the results.
    format : str
        Of label images, one of :data:`SUFFIXES`: ``tiff`` and ``zarr`` have 32 bits, ``png`` 16.
    extras : tuple of str
        Of :data:`EXTRAS`.
    classes : tuple of str
        What the model tells apart; their numbers begin at 1.

    Raises
    ------
    UserError
        There is no such format or extra.
    """

    out: Path
    format: str = "tiff"
    extras: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.format not in SUFFIXES:
            raise UserError(f"'{self.format}' is no format of label images.", f"Choose from {', '.join(SUFFIXES)}.")
        for extra in set(self.extras) - set(EXTRAS):
            raise UserError(f"'{extra}' cannot be written for a folder.", f"Choose from {', '.join(EXTRAS)}.")

    def labels_of(self, name: str) -> Path:
        """Return the label image of an image, whose name is its path below the folder, with slashes."""
        return (self.out / name).with_suffix(SUFFIXES[self.format])

    @property
    def holds_stacks(self) -> bool:
        """Whether the format can hold more than one plane."""
        return self.format != "png"

    def files_of(self, name: str, stack: bool = False) -> list[Path]:
        """Return all files of an image; of a stack only label images are written. OME-Zarr has them in one folder."""
        others = {
            "overlays": (self.out / OVERLAYS / name).with_suffix(".png"),
            "geojson": (self.out / name).with_suffix(GEOJSON),
            "semantic": (self.out / SEMANTIC / name).with_suffix(SUFFIXES[self.format]),
        }
        if self.format == "zarr":
            del others[SEMANTIC]
        extras = [extra for extra in others if extra in self.extras and (extra == SEMANTIC or not stack)]
        return [self.labels_of(name), *(others[extra] for extra in extras)]

    def sizes_of(self, name: str, stack: bool = False) -> list[int]:
        """Return the sizes of these files in bytes; of a folder that of all files in it.

        Raises
        ------
        OSError
            One is missing.
        """
        sizes = []
        for path in self.files_of(name, stack):
            files = [path] if not path.is_dir() else [file for file in path.rglob("*") if file.is_file()]
            sizes.append(sum(file.stat().st_size for file in files))
        return sizes

    def names_of(self, numbers: np.ndarray | None) -> list[str] | None:
        """Return the names of classes of objects, None where there are no numbers."""
        return None if numbers is None else [self.classes[number - 1] for number in numbers.tolist()]

    @cached_property
    def infos(self) -> dict[str, ClassInfo]:
        """The classes as other programs are told them, by name; without any, the one of all objects."""
        if not self.classes:
            return {"": PLAIN}
        return {
            name: ClassInfo(number, name, COLORS[(number - 1) % len(COLORS)])
            for number, name in enumerate(self.classes, start=1)
        }


def write_files(
    wanted: Wanted,
    name: str,
    rgb: np.ndarray | Parts,
    labels: np.ndarray,
    classes: np.ndarray | None = None,
    pixel_um: tuple[float, float] | None = None,
) -> None:
    """Write the files of an image, each atomically, the label image last.

    Parameters
    ----------
    wanted : Wanted
        Which ones.
    name : str
        Of the image.
    rgb : ndarray or Parts
        (H, W, 3) uint8.
    labels : ndarray
        (H, W) int32, 1..N.
    classes : ndarray, optional
        (N,) int: number of the class of each object.
    pixel_um : (float, float), optional
        Height and width of a pixel in micrometres.

    Raises
    ------
    UserError
        A file cannot be written, or there are more objects than the format can number.
    """
    of = dict(enumerate(wanted.names_of(classes) or (), start=1))
    for path in reversed(wanted.files_of(name)):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ZARR_SUFFIX:
            _write_zarr(wanted, path, lambda: iter([labels]), Layout(labels.shape, "", pixel_um), classes)
            continue
        with saving(path) as temporary:
            if path.suffix == GEOJSON:
                _write_geojson(temporary, _labelled(wanted, name, Path(name), labels, of))
            elif path == wanted.labels_of(name):
                _write_labels(temporary, name, labels)
            elif path.is_relative_to(wanted.out / SEMANTIC):
                _write_labels(temporary, name, semantic(labels, classes))
            else:
                iio.imwrite(temporary, overlay(rgb, labels))


def write_stack(
    wanted: Wanted,
    name: str,
    planes: Callable[[], Iterator[np.ndarray]],
    layout: Layout,
    classes: np.ndarray | None = None,
) -> None:
    """Write the files of a stack, each atomically, the label image last; one plane is in memory.

    Parameters
    ----------
    wanted : Wanted
        Which ones.
    name : str
        Of the image.
    planes : callable
        Yields the planes of labels, (H, W) int32 each, anew each time.
    layout : Layout
        Of the stack.
    classes : ndarray, optional
        (N,) int: number of the class of each object.

    Raises
    ------
    UserError
        A file cannot be written.
    """
    for path in reversed(wanted.files_of(name, stack=True)):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ZARR_SUFFIX:
            _write_zarr(wanted, path, planes, layout, classes)
            continue
        with saving(path) as temporary:
            plain = path == wanted.labels_of(name)
            pages = planes() if plain else (semantic(labels, classes) for labels in planes())
            dtype = np.int32 if plain else np.uint8
            metadata = {"axes": f"{layout.axes.upper()}YX"}
            options: dict[str, Any] = {"compression": "zlib", "photometric": "minisblack", "metadata": metadata}
            tifffile.imwrite(temporary, pages, shape=layout.shape, dtype=dtype, **options)


def semantic(labels: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
    """Return the number of the class at each pixel, (H, W) uint8; 1 for all objects where there are no classes."""
    if classes is None:
        return (labels > 0).astype(np.uint8)
    return np.concatenate([[0], classes]).astype(np.uint8)[labels]


def overlay(rgb: np.ndarray | Parts, labels: np.ndarray) -> np.ndarray:
    """Return an image (H, W, 3) uint8 with the outlines of its objects."""
    height, width = labels.shape
    drawn = np.empty((height, width, 3), np.uint8)
    step = max(1, BAND // width)
    for start in range(0, height, step):  # of a large image a few rows at once, with one more on either side
        rows, around = slice(start, start + step), slice(max(0, start - 1), start + step + 1)
        outlines = find_boundaries(labels[around], mode="inner")
        drawn[rows] = rgb[rows, :]
        drawn[rows][outlines[start - around.start :][:step]] = OUTLINE
    return drawn


def write_classes(wanted: Wanted) -> None:
    """Write which number in semantic images is which class.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    rows = ({"number": info.id, "class": name} for name, info in wanted.infos.items())
    Table(wanted.out / CLASSES, ("number", "class")).replace(rows)


def write_coco(wanted: Wanted, images: Iterable[tuple[str, Path, Mapping[int, str]]]) -> None:
    """Write one COCO file for all images, from their label images.

    Parameters
    ----------
    wanted : Wanted
        Where they are.
    images : iterable of (str, Path, mapping of int to str)
        Name and file of each image, and the class of each of its objects, where there are classes.

    Raises
    ------
    UserError
        A label image cannot be read, or the file cannot be written.
    """

    def labelled() -> Iterator[Labelled]:
        for name, path, of in images:
            found = wanted.labels_of(name)
            labels = read_ngff(found) if found.suffix == ZARR_SUFFIX else read_labels(found)
            yield _labelled(wanted, name, path, labels, of)

    write = FORMATS["coco"].write
    assert write is not None
    with saving(wanted.out / COCO) as temporary:
        write(labelled(), temporary)


def _write_labels(path: Path, name: str, labels: np.ndarray) -> None:
    if path.suffix == ".png":
        most = np.iinfo(np.uint16).max
        if labels.size and labels.max() > most:
            raise UserError(f"{name} has more than {most} objects, which a PNG cannot number.", "Choose TIFF.")
        iio.imwrite(path, labels if labels.dtype == np.uint8 else labels.astype(np.uint16))
    else:
        tile = (TILE, TILE) if labels.size > LARGE else None  # so that others need not read all of it
        tifffile.imwrite(path, labels, compression="zlib", tile=tile)


def _write_zarr(
    wanted: Wanted,
    path: Path,
    planes: Callable[[], Iterator[np.ndarray]],
    layout: Layout,
    classes: np.ndarray | None,
) -> None:
    """Write objects, and classes where they are wanted, as one OME-Zarr folder."""
    names = wanted.names_of(classes) or []
    properties = [{"label-value": number, "class": name} for number, name in enumerate(names, start=1)]
    layers = [Layer(OBJECTS, planes(), np.int32, properties=properties)]
    if SEMANTIC in wanted.extras:
        infos = wanted.infos.values()
        colors = [
            {"label-value": info.id, "rgba": [*bytes.fromhex(info.color.removeprefix("#")), 255]} for info in infos
        ]
        told = [{"label-value": info.id, "class": info.name} for info in infos]
        pages = (semantic(labels, classes) for labels in planes())
        layers.append(Layer(ngff.CLASSES, pages, np.uint8, colors, told))
    with saving_folder(path) as temporary:
        ngff.write_ngff(temporary, layout, layers)


def _write_geojson(path: Path, image: Labelled) -> None:
    from ..store.formats.geojson import features

    path.write_text(json.dumps(features(image)), encoding="utf-8")


def _labelled(wanted: Wanted, name: str, path: Path, labels: np.ndarray, of: Mapping[int, str]) -> Labelled:
    infos = wanted.infos
    known = {key: infos.get(of.get(key, ""), PLAIN) for key in ids_in(labels)}
    return Labelled(name, name, labels, known, list(infos.values()), lambda: open_picture(path))
