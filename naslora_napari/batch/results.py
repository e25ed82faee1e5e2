"""The files that are written for each image of a folder, and for all of them together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import tifffile
from skimage.segmentation import find_boundaries

from naslora_trainer.errors import UserError
from naslora_trainer.files import saving
from naslora_trainer.images import read_labels
from naslora_trainer.pictures import open_picture

from ..store.formats import FORMATS
from ..store.formats.geojson import SUFFIX as GEOJSON
from ..store.formats.neutral import Labelled
from ..store.records import ClassInfo

#: Of label images, by the name of their format.
SUFFIXES = {"tiff": ".tif", "png": ".png"}
#: What else can be written.
EXTRAS = ("overlays", "geojson", "coco")
OVERLAYS = "overlays"
OUTLINE = (255, 220, 0)
COCO = "coco.json"
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
        Of label images, one of :data:`SUFFIXES`: ``tiff`` has 32 bits, ``png`` 16.
    extras : tuple of str
        Of :data:`EXTRAS`.

    Raises
    ------
    UserError
        There is no such format or extra.
    """

    out: Path
    format: str = "tiff"
    extras: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.format not in SUFFIXES:
            raise UserError(f"'{self.format}' is no format of label images.", f"Choose from {', '.join(SUFFIXES)}.")
        for extra in set(self.extras) - set(EXTRAS):
            raise UserError(f"'{extra}' cannot be written for a folder.", f"Choose from {', '.join(EXTRAS)}.")

    def labels_of(self, name: str) -> Path:
        """Return the label image of an image, whose name is its path below the folder, with slashes."""
        return (self.out / name).with_suffix(SUFFIXES[self.format])

    def files_of(self, name: str) -> list[Path]:
        """Return all files of an image."""
        others = {
            "overlays": (self.out / OVERLAYS / name).with_suffix(".png"),
            "geojson": (self.out / name).with_suffix(GEOJSON),
        }
        return [self.labels_of(name), *(path for extra, path in others.items() if extra in self.extras)]


def write_files(wanted: Wanted, name: str, rgb: np.ndarray, labels: np.ndarray) -> None:
    """Write the files of an image, each atomically, the label image last.

    Parameters
    ----------
    wanted : Wanted
        Which ones.
    name : str
        Of the image.
    rgb : ndarray
        (H, W, 3) uint8.
    labels : ndarray
        (H, W) int32.

    Raises
    ------
    UserError
        A file cannot be written, or there are more objects than the format can number.
    """
    for path in reversed(wanted.files_of(name)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with saving(path) as temporary:
            if path.suffix == GEOJSON:
                _write_geojson(temporary, name, labels)
            elif path == wanted.labels_of(name):
                _write_labels(temporary, name, labels)
            else:
                iio.imwrite(temporary, overlay(rgb, labels))


def overlay(rgb: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return an image (H, W, 3) uint8 with the outlines of its objects."""
    drawn = rgb.copy()
    drawn[find_boundaries(labels, mode="inner")] = OUTLINE
    return drawn


def write_coco(wanted: Wanted, names: Iterable[tuple[str, Path]]) -> None:
    """Write one COCO file for all images, from their label images.

    Parameters
    ----------
    wanted : Wanted
        Where they are.
    names : iterable of (str, Path)
        Name and file of each image.

    Raises
    ------
    UserError
        A label image cannot be read, or the file cannot be written.
    """

    def images() -> Iterator[Labelled]:
        for name, path in names:
            yield _labelled(name, path, read_labels(wanted.labels_of(name)))

    write = FORMATS["coco"].write
    assert write is not None
    with saving(wanted.out / COCO) as temporary:
        write(images(), temporary)


def _write_labels(path: Path, name: str, labels: np.ndarray) -> None:
    if path.suffix == ".png":
        most = np.iinfo(np.uint16).max
        if labels.size and labels.max() > most:
            raise UserError(f"{name} has more than {most} objects, which a PNG cannot number.", "Choose TIFF.")
        iio.imwrite(path, labels.astype(np.uint16))
    else:
        tifffile.imwrite(path, labels, compression="zlib")


def _write_geojson(path: Path, name: str, labels: np.ndarray) -> None:
    from ..store.formats.geojson import features

    path.write_text(json.dumps(features(_labelled(name, Path(name), labels))), encoding="utf-8")


def _labelled(name: str, path: Path, labels: np.ndarray, classes: Sequence[ClassInfo] = (PLAIN,)) -> Labelled:
    known = dict.fromkeys(np.unique(labels[labels > 0]).tolist(), PLAIN)
    return Labelled(name, name, labels, known, classes, lambda: open_picture(path))
