"""Labelled images in memory, and the one file in which they travel to a training process."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from . import hdf5
from .decode import MAX_PIXELS
from .files import saving

SCHEMA = "naslora-snapshot"
#: 2 has sources, 3 regions of interest, 4 classes, 5 places where nothing is; older ones are read.
VERSION = 5
Roi = tuple[int, int, int, int]
#: An image has at most so many regions of interest.
MOST_ROIS = 10_000
#: A part of an image is reduced at most so many times.
MOST_STEP = 1000
#: The name of a class has at most so many characters, and the names of an image's classes so many bytes.
LONGEST_CLASS, MOST_CLASS_BYTES = 200, 2**20
#: From so many images on, what they have in common is no chance.
SEVERAL = 4
#: What is to be known of a model that sees background only at the edges of objects, and the way out, before and after.
GUESSED_BACKGROUND = "No labelled image is marked as complete, so that the model may see objects where there are none."
MARK_BACKGROUND = "Mark an image as complete, or draw an area in which all objects are labelled"
TELL_BACKGROUND = f"{GUESSED_BACKGROUND} {MARK_BACKGROUND}, and fine-tune again."
#: Pixels are counted in parts of so many, which fit into a processor's cache.
_PART = 2**20


@dataclass(frozen=True, eq=False)
class TrainingImage:
    """An image with labelled objects.

    Attributes
    ----------
    name : str
        Its name in the project.
    image : ndarray
        ``(H, W, 3)`` uint8, as the models see it.
    labels : ndarray
        ``(H, W)`` int32: 0 is no object, every other number one object.
    complete : bool
        Whether every object is labelled. If not, an unlabelled pixel says nothing, but in the regions of interest.
    source : str
        What it is a part or plane of, so that no other part or plane judges what was learned from it; empty: an image
        of its own. A number in ``labels`` is the same object in all of them.
    rois : tuple of (row0, col0, row1, col1)
        Rectangles in which every object is labelled, in pixels; the far edges are exclusive.
    classes : mapping of int to str
        The name of the class of each object, where there are several classes; it may name objects that are not here.
    class_order : tuple of str
        Names of classes in the person's order, also of such as no object here has.
    step : int
        Of what it is a part of, every so many rows and columns are here: 1, all of them, but for a large part.
    nothing : ndarray or None
        ``(H, W)`` bool: where else there is no object, by a person's clicks beside others, or because objects around it
        were taken out; None: nowhere.
    """

    name: str
    image: np.ndarray
    labels: np.ndarray
    complete: bool = False
    source: str = ""
    rois: tuple[Roi, ...] = ()
    classes: Mapping[int, str] = field(default_factory=dict)
    class_order: tuple[str, ...] = ()
    step: int = 1
    nothing: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(f"the image of {self.name} is not (H, W, 3) uint8")
        if self.labels.shape != self.image.shape[:2] or self.labels.dtype != np.int32:
            raise ValueError(f"the labels of {self.name} are not int32 of the size of its image")
        if not are_rois(self.rois, self.labels.shape):
            raise ValueError(f"the regions of interest of {self.name} are not inside its image")
        if not 1 <= self.step <= MOST_STEP:
            raise ValueError(f"{self.name} is reduced by {self.step}")
        if self.nothing is not None and (self.nothing.shape != self.labels.shape or self.nothing.dtype != np.bool_):
            raise ValueError(f"where nothing is in {self.name} is not bool of the size of its image")

    @property
    def side(self) -> int:
        """Long side of what it shows, in pixels of what it is a part of."""
        return max(self.labels.shape) * self.step

    @property
    def known(self) -> np.ndarray:
        """``(H, W)`` bool: where a pixel without a label is background, because every object there is labelled."""
        known = np.full(self.labels.shape, self.complete)
        for row0, col0, row1, col1 in self.rois:
            known[row0:row1, col0:col1] = True
        return known


def pixels_id(image: TrainingImage) -> str:
    """Return a name for the pixels of an image, which can be a file's."""
    return f"{hashlib.sha256(image.image.tobytes()).hexdigest()[:24]}-{image.image.shape[0]}"


def are_rois(rois: Sequence[Roi], shape: tuple[int, ...]) -> bool:
    """Return whether rectangles (row0, col0, row1, col1) are not empty, and inside an image of ``shape`` (H, W)."""
    return len(rois) <= MOST_ROIS and all(
        0 <= row0 < row1 <= shape[0] and 0 <= col0 < col1 <= shape[1] for row0, col0, row1, col1 in rois
    )


def to_rois(values: np.ndarray) -> tuple[Roi, ...]:
    """Return the rows of ``(N, 4)`` whole numbers as regions of interest."""
    return tuple((row0, col0, row1, col1) for row0, col0, row1, col1 in values.tolist())


def boxes_in(labels: np.ndarray) -> dict[int, tuple[int, int, int, int]]:
    """Return the box (row0, col0, row1, col1), far edges exclusive, around each object in ``labels``."""
    rows, cols = np.nonzero(labels)
    ids, place = np.unique(labels[rows, cols], return_inverse=True)
    first, last = (np.full((2, len(ids)), value, np.int64) for value in (max(labels.shape, default=0), 0))
    for axis, at in enumerate((rows, cols)):
        np.minimum.at(first[axis], place, at)
        np.maximum.at(last[axis], place, at + 1)
    return {
        key: (r0, c0, r1, c1) for key, r0, c0, r1, c1 in zip(ids.tolist(), *first.tolist(), *last.tolist(), strict=True)
    }


def areas_in(labels: np.ndarray) -> dict[int, int]:
    """Return how many pixels each object has in ``labels`` (whole numbers of 0 or more), by ascending id."""
    areas: Counter[int] = Counter()
    flat = labels.ravel()
    for start in range(0, flat.size, _PART):
        part = flat[start : start + _PART]
        part = part[part != 0]
        if part.size and int(part.max()) <= _PART:  # counting is faster than sorting
            counts = np.bincount(part)
            ids = np.flatnonzero(counts)
            counts = counts[ids]
        else:
            ids, counts = np.unique(part, return_counts=True)
        areas.update(dict(zip(ids.tolist(), counts.tolist(), strict=True)))
    return dict(sorted(areas.items()))


def ids_in(labels: np.ndarray) -> list[int]:
    """Return the object ids in ``labels`` (whole numbers of 0 or more) in ascending order."""
    return list(areas_in(labels))


def objects_of(image: TrainingImage) -> list[int]:
    """Return the ids of the objects of an image in ascending order."""
    return ids_in(image.labels)


def some_background(images: Sequence[TrainingImage]) -> bool:
    """Return whether in some image it is known of much where no object is.

    That is so where every object is labelled, and where what is said to be nothing is as large as the labelled objects.
    """
    return any(image.complete or image.rois or as_much_nothing(image.nothing, image.labels) for image in images)


def as_much_nothing(nothing: np.ndarray | None, labels: np.ndarray) -> bool:
    """Return whether what is said to be nothing (H, W) is as large as what is labelled."""
    return nothing is not None and bool(np.count_nonzero(nothing) >= np.count_nonzero(labels))


def one_object_each(images: Sequence[TrainingImage]) -> bool:
    """Return whether in each of several images all of what is labelled is one object, and nothing is left to label."""
    return len(images) >= SEVERAL and all(image.complete and len(objects_of(image)) == 1 for image in images)


def write_snapshot(path: Path | str, images: Iterable[TrainingImage]) -> None:
    """Write labelled images to one HDF5 file, at once.

    Raises
    ------
    UserError
        The disk is full or read-only; an old file is intact.
    """
    with saving(path) as temporary:
        try:
            with hdf5.create(temporary, SCHEMA, VERSION) as file:
                for index, image in enumerate(images):
                    _write_image(file.create_group(f"{index:06d}"), image)
        except RuntimeError as error:  # h5py's word for a failed write when a file is closed
            raise OSError(str(error)) from error


def _write_image(group: h5py.Group, image: TrainingImage) -> None:
    """Write one image into its group."""
    hdf5.set_text(group, "name", image.name)
    hdf5.set_text(group, "source", image.source)
    group.attrs["complete"] = np.bool_(image.complete)
    group.attrs["step"] = np.int64(image.step)
    group.create_dataset("image", data=image.image, compression="gzip", compression_opts=1, fletcher32=True)
    group.create_dataset("labels", data=image.labels, compression="gzip", compression_opts=1, fletcher32=True)
    group.create_dataset("rois", data=np.array(image.rois, "<i4").reshape(-1, 4))
    if image.nothing is not None:
        group.create_dataset("nothing", data=image.nothing.astype(np.uint8), compression="gzip", fletcher32=True)
    if image.classes:
        used = sorted(set(image.classes.values()))
        names = list(dict.fromkeys((*image.class_order, *used)))
        if len(json.dumps(names)) > MOST_CLASS_BYTES:
            names = used
        of = [(key, names.index(name)) for key, name in sorted(image.classes.items())]
        group.create_dataset("classes", data=np.array(of, "<i4"))
        group.create_dataset("class_names", data=np.frombuffer(json.dumps(names).encode("ascii"), np.uint8))


def read_snapshot(path: Path | str) -> list[TrainingImage]:
    """Return the labelled images of a snapshot file in the order in which they were written.

    Raises
    ------
    UserError
        The file is missing, damaged, foreign or of a newer version.
    """
    with hdf5.reading(Path(path), "training snapshot", SCHEMA, VERSION) as file:
        return [_read_image(hdf5.group(file, name)) for name in sorted(file)]


def _read_image(group: h5py.Group) -> TrainingImage:
    """Return the image of one group."""
    pixels = hdf5.dataset(group, "image", np.dtype(np.uint8), None)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or not 0 < pixels.shape[0] * pixels.shape[1] <= MAX_PIXELS:
        raise ValueError("not an image")
    labels = hdf5.dataset(group, "labels", np.dtype(np.int32), pixels.shape[:2])[()]
    if labels.min() < 0:
        raise ValueError("negative labels")
    source = hdf5.text(group, "source") if "source" in group.attrs else ""
    rois: tuple[Roi, ...] = ()
    if "rois" in group:
        stored = hdf5.dataset(group, "rois", np.dtype("<i4"), None)
        if stored.ndim != 2 or stored.shape[1] != 4 or len(stored) > MOST_ROIS:
            raise ValueError("not regions of interest")
        rois = to_rois(stored[()])
    name, complete = hdf5.text(group, "name"), hdf5.flag(group, "complete")
    step = hdf5.whole(group, "step") if "step" in group.attrs else 1
    classes, order = _read_classes(group, labels.size)
    nothing = hdf5.dataset(group, "nothing", np.dtype(np.uint8), labels.shape)[()] > 0 if "nothing" in group else None
    return TrainingImage(name, pixels[()], labels, complete, source, rois, classes, order, step, nothing)


def _read_classes(group: h5py.Group, most: int) -> tuple[dict[int, str], tuple[str, ...]]:
    """Return the class of each object of an image with at most so many of them, and the order of the classes."""
    if "classes" not in group:
        return {}, ()
    of = hdf5.dataset(group, "classes", np.dtype("<i4"), None)
    stored = hdf5.dataset(group, "class_names", np.dtype(np.uint8), None)
    if of.ndim != 2 or of.shape[1] != 2 or len(of) > most or stored.ndim != 1 or len(stored) > MOST_CLASS_BYTES:
        raise ValueError("not classes of objects")
    try:
        names = json.loads(stored[()].tobytes())
    except RecursionError as error:
        raise ValueError("not names of classes") from error
    if not isinstance(names, list) or not all(isinstance(n, str) and 0 < len(n) <= LONGEST_CLASS for n in names):
        raise ValueError("not names of classes")
    pairs = of[()].tolist()
    if not all(0 <= index < len(names) for _, index in pairs):
        raise ValueError("a class without a name")
    return {key: names[index] for key, index in pairs}, tuple(names)
