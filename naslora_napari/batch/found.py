"""What a run over a folder found, read from its results: few numbers of each object, none of its pixels."""

from __future__ import annotations

import hashlib
import json
import math
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from naslora_trainer.errors import UserError
from naslora_trainer.images import LARGEST_LABEL

from .ledger import LEDGER, Entry, read_ledger
from .measure import COLUMNS
from .results import OVERLAYS, SUFFIXES, Wanted, labels_in
from .segment import TABLE
from .table import Table

MOST_IMAGES, MOST_OBJECTS, MOST_CLASSES = 200_000, 5_000_000, 1000
#: The name of a model has at most so many characters.
LONGEST_MODEL = 200
#: What is added to the name of a folder for that of its results.
RESULTS = "_segmented"
PICKED = ("image", "plane", "label", "area", "area_um2", "confidence", "touches_border", "class")


@dataclass(frozen=True, eq=False)
class FoundObjects:
    """The objects of all images; each array has one element for each of them.

    Attributes
    ----------
    image : ndarray
        int32, number of its image.
    label : ndarray
        int32, its number in the label image.
    area : ndarray
        float64, in ``unit``.
    unit : str
        ``µm²`` where the size of a pixel is known for each of them, else ``px``.
    confidence : ndarray
        float64, 0 to 1, or NaN.
    border : ndarray
        bool: it is cut off by the edge of the image.
    kind : ndarray
        int32, number of its class in ``kinds``.
    kinds : tuple of str
        Names of classes; the first one is empty: none.
    """

    image: np.ndarray
    label: np.ndarray
    area: np.ndarray
    unit: str
    confidence: np.ndarray
    border: np.ndarray
    kind: np.ndarray
    kinds: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FoundRun:
    """A run over a folder.

    Attributes
    ----------
    wanted : Wanted
        Where the results are, and which.
    folder : Path or None
        Where the images are; None where that is not known any more.
    model : str
        The adapter, or else the base model.
    names : tuple of str
        Of the images that were segmented: their paths below the folder, with slashes, and for each plane of a stack its
        place as well. Each plane is an image.
    files : tuple of str
        Paths of their files below the folder.
    planes : tuple of tuple of int
        Which plane of the file each one is; empty for an image that is one plane.
    editions : tuple of str
        For each what changes when it is segmented anew.
    failed : dict of str to str
        Why other images could not be segmented.
    objects : FoundObjects
        The objects, image by image.
    noted : int
        How many objects the run noted.
    """

    wanted: Wanted
    folder: Path | None
    model: str
    names: tuple[str, ...]
    files: tuple[str, ...]
    planes: tuple[tuple[int, ...], ...]
    editions: tuple[str, ...]
    failed: dict[str, str]
    objects: FoundObjects
    noted: int = 0

    @property
    def table(self) -> Path:
        """The table of the objects."""
        return self.wanted.out / TABLE

    @property
    def untold(self) -> bool:
        """Whether objects were found of which nothing is told: their table is missing or of another version."""
        return self.noted > 0 and len(self.objects.image) == 0

    @cached_property
    def counts(self) -> np.ndarray:
        """How many objects each image has."""
        return np.bincount(self.objects.image, minlength=len(self.names))

    @cached_property
    def _ends(self) -> list[int]:
        return [0, *np.cumsum(self.counts).tolist()]

    def of(self, image: int) -> slice:
        """Return where the objects of an image are."""
        return slice(self._ends[image], self._ends[image + 1])

    def source(self, image: int) -> Path:
        """Return the file of an image.

        Raises
        ------
        UserError
            It is not there.
        """
        path = None if self.folder is None else self.folder / self.files[image]
        if path is None or not path.exists():
            place = "" if self.folder is None else f" in {self.folder}"
            raise UserError(f"The image {self.files[image]} is not there any more{place}.", "Put it back.")
        return path

    def overlay(self, image: int) -> Path:
        """Return the file of the overlay of an image; it is only there if overlays were asked for."""
        return (self.wanted.out / OVERLAYS / self.files[image]).with_suffix(".png")

    def labels(self, image: int) -> np.ndarray:
        """Return the labels of an image, ``(H, W)`` int32.

        Raises
        ------
        UserError
            They are missing or damaged.
        """
        return labels_in(self.wanted.labels_of(self.files[image]), self.planes[image])


def read_run(out: Path | str, folder: Path | None = None) -> FoundRun:
    """Return what a run found.

    Parameters
    ----------
    out : Path
        The folder of its results. What is damaged in them is left out.
    folder : Path, optional
        Where the images are; by default where they were, or beside the results.

    Raises
    ------
    UserError
        There are no results, or too many.
    """
    out = Path(out)
    settings, noted, entries = read_ledger(out / LEDGER)
    done: dict[str, Entry] = {}
    failed: dict[str, str] = {}
    count = 0
    for entry in entries:
        name = entry["name"]
        if not _is_below(name):
            continue
        count += 1 if "error" in entry else math.prod(_sizes(entry))
        if count > MOST_IMAGES:
            raise UserError(f"{out} has results of more than {MOST_IMAGES} images.", "Segment them in several folders.")
        done.pop(name, None), failed.pop(name, None)
        if "error" in entry:
            failed[name] = str(entry["error"])
        else:
            done[name] = entry
    if not done:
        raise UserError(f"No image in {out} was segmented.", "Look in its summary.csv for the reason.")
    units = [(name, plane) for name, entry in done.items() for plane in _planes(entry)]
    editions = {name: _edition(settings, entry) for name, entry in done.items()}
    rows = {(name, ",".join(map(str, plane))): number for number, (name, plane) in enumerate(units)}
    return FoundRun(
        Wanted(out, next((format for format in SUFFIXES if format == settings.get("format")), "tiff")),
        _where(units[0][0], folder, Path(noted) if noted else None, out),
        str(settings.get("adapter") or settings.get("base") or "")[:LONGEST_MODEL],
        tuple(f"{name} {plane}".rstrip() for name, plane in rows),
        tuple(name for name, _ in units),
        tuple(plane for _, plane in units),
        tuple(editions[name] for name, _ in units),
        failed,
        _objects(Table(out / TABLE, COLUMNS), rows),
        sum(number for entry in done.values() if type(number := entry.get("objects")) is int),
    )


def _is_below(name: str) -> bool:
    """Return whether a name is a path that stays below a folder, on any system."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    windows, parts = PureWindowsPath(name), PurePosixPath(name).parts
    plain = "\0" not in name and "\\" not in name and not (windows.drive or windows.root)
    return plain and len(parts) > 0 and ".." not in parts


def _sizes(entry: Entry) -> list[int]:
    """Return how many planes a stack has along each axis; nothing for an image that is one plane."""
    sizes = entry.get("planes", [])
    sound = isinstance(sizes, list) and len(sizes) < 4 and all(type(size) is int and size > 0 for size in sizes)
    return sizes if sound else []


def _planes(entry: Entry) -> Iterator[tuple[int, ...]]:
    return product(*map(range, _sizes(entry)))


def _where(name: str, *folders: Path | None) -> Path | None:
    """Return the folder that has the image ``name``; the last one is that of the results."""
    *others, out = folders
    assert out is not None
    beside = out.with_name(out.name.removesuffix(RESULTS)) if out.name.endswith(RESULTS) else None
    for folder in (*others, beside, out.parent):
        if folder is not None and folder.is_dir() and (folder / name).exists():
            return folder
    return None


def _edition(settings: dict[str, Any], entry: Entry) -> str:
    text = json.dumps([settings, entry], sort_keys=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]


def _objects(table: Table, images: dict[tuple[str, str], int]) -> FoundObjects:
    """Read the table of objects; rows that cannot be, and those of other images, are left out."""
    whole, real, kinds = (array("i") for _ in range(4)), (array("d") for _ in range(3)), {"": 0}
    (image, label, border, kind), (area, physical, confidence) = whole, real
    for name, plane, number, pixels, square_um, sure, edge, of_class in table.picked(*PICKED):
        if (name, plane) not in images or not number.isascii() or not number.isdigit() or len(number) > 10:
            continue
        size = _positive(pixels)
        if not 1 <= int(number) <= LARGEST_LABEL or math.isnan(size):
            continue
        if len(image) >= MOST_OBJECTS:
            raise UserError(f"{table.path} has more than {MOST_OBJECTS} objects.", "Segment fewer images at a time.")
        if of_class not in kinds and len(kinds) < MOST_CLASSES:
            kinds[of_class] = len(kinds)
        image.append(images[name, plane])
        label.append(int(number))
        border.append(edge == "1")
        kind.append(kinds.get(of_class, 0))
        area.append(size)
        physical.append(_positive(square_um))
        confidence.append(_share(sure))
    sizes, in_um = np.array(area), np.array(physical)
    known = len(in_um) > 0 and not np.isnan(in_um).any()
    order = np.argsort(np.array(image), kind="stable")
    return FoundObjects(
        np.array(image, np.int32)[order],
        np.array(label, np.int32)[order],
        (in_um if known else sizes)[order],
        "µm²" if known else "px",
        np.array(confidence)[order],
        np.array(border, bool)[order],
        np.array(kind, np.int32)[order],
        tuple(kinds),
    )


def _number(text: str) -> float:
    """Return a number; NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _positive(text: str) -> float:
    """Return a number that an area can have; NaN where it is none."""
    value = _number(text)
    return value if 0 < value < 1e15 else math.nan


def _share(text: str) -> float:
    """Return a number of 0 to 1; NaN where it is none."""
    value = _number(text)
    return value if 0 <= value <= 1 else math.nan
