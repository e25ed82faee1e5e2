"""What a person wants of each image of a folder, where its files lie, and how its labels are read again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from naslora_trainer.decode import ZARR_SUFFIX
from naslora_trainer.errors import UserError
from naslora_trainer.images import read_labels, to_labels
from naslora_trainer.pictures import open_picture

from ..store.formats.geojson import SUFFIX as GEOJSON
from ..store.manifest import COLORS
from ..store.records import ClassInfo
from .ngff import read_ngff

#: Of label images, by the name of their format.
SUFFIXES = {"tiff": ".tif", "png": ".png", "zarr": ZARR_SUFFIX}
#: What else can be written.
EXTRAS = ("overlays", "geojson", "coco", "semantic")
LABELS, OVERLAYS, OUTLINES, COCO, SEMANTIC = "labels", *EXTRAS
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
        Of label images, one of :data:`SUFFIXES`: ``zarr`` has 32 bits, ``png`` 16, ``tiff`` those
        where they do and else 32.
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

    def files(self, name: str, stack: bool = False) -> dict[str, Path]:
        """Return all files of an image by what they are, the label image first; OME-Zarr has classes in the same."""
        others = {
            OVERLAYS: (self.out / OVERLAYS / name).with_suffix(".tif" if stack else ".png"),
            OUTLINES: (self.out / name).with_suffix(GEOJSON),
            SEMANTIC: (self.out / SEMANTIC / name).with_suffix(SUFFIXES[self.format]),
        }
        if self.format == "zarr":
            del others[SEMANTIC]
        return {LABELS: self.labels_of(name)} | {what: path for what, path in others.items() if what in self.extras}

    def files_of(self, name: str, stack: bool = False) -> list[Path]:
        """Return all files of an image, the label image first."""
        return list(self.files(name, stack).values())

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


def labels_in(path: Path, plane: tuple[int, ...] = ()) -> np.ndarray:
    """Return the labels in a label image, or in one plane of it, ``(H, W)`` int32.

    Raises
    ------
    UserError
        They are missing or damaged, or there is no such plane.
    """
    if path.suffix != ZARR_SUFFIX and not plane:
        return read_labels(path)
    found = read_ngff(path, plane=plane) if path.suffix == ZARR_SUFFIX else open_picture(path, plane).levels[0]
    labels = np.asarray(found)
    if labels.ndim != 2:
        raise UserError(f"{path} is no label image of planes like these.", "Segment the image again.")
    return to_labels(labels, str(path))
