"""What a project knows about its images, classes and objects."""

from __future__ import annotations

import getpass
import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from naslora_trainer.channels import Channels
from naslora_trainer.data import Roi
from naslora_trainer.prompts import Point, Prompts, Stroke

Source = Literal["prompt", "brush", "import", "automatic"]
SOURCES: tuple[Source, ...] = ("prompt", "brush", "import", "automatic")
#: What a person thinks of an object after another look at it; empty: nobody has looked again.
Review = Literal["", "reviewed", "doubtful"]
REVIEWS: tuple[Review, ...] = ("", "reviewed", "doubtful")
State = Literal["untouched", "in progress", "complete", "skipped"]
#: A note has at most so many characters.
LONGEST_NOTE = 4000
#: Keys of stored prompts that the first versions of the annotation file do not have.
_LATER_KEYS = ("strokes", "outline")


@dataclass(frozen=True)
class ClassInfo:
    """A class of objects: its number (1 or more), name and colour (``#rrggbb``)."""

    id: int
    name: str
    color: str


@dataclass(frozen=True)
class ImageEntry:
    """An image of a project.

    Attributes
    ----------
    name : str
        Unique.
    path : Path
        Its file, absolute.
    plane : tuple of int
        Which plane of a stack or series it is (see :func:`naslora_trainer.pictures.planes_of`); empty for a single one.
    limits : (low, high) or None
        Contrast limits that the person chose: values that become black and white, for people and models.
    content : str
        Identifies what is in its file (see :func:`naslora_napari.store.content.content_of`); empty where unknown.
    channels : Channels
        Which channels of its file are seen (see :data:`naslora_trainer.channels.Channels`); empty: nobody chose.
    """

    name: str
    path: Path
    plane: tuple[int, ...] = ()
    limits: tuple[float, float] | None = None
    content: str = ""
    channels: Channels = ()


@dataclass(frozen=True)
class ObjectInfo:
    """How an object came about.

    Attributes
    ----------
    class_id : int
        Its class, 1 or more.
    source : str
        ``prompt`` (accepted answer of a model), ``brush`` (painted), ``import``, or ``automatic`` (found by a model
        without a person: nothing learns from it before it is reviewed).
    model : str
        Version of the model that answered or found it; empty for a painted object.
    time : str
        ISO 8601; the store fills in the present moment where it is empty.
    annotator : str
        Who accepted it.
    prompts : Prompts or None
        What the person gave; a low-resolution mask among it is not stored.
    review : str
        ``reviewed`` or ``doubtful`` after another look at it; empty before.
    """

    class_id: int = 1
    source: Source = "prompt"
    model: str = ""
    time: str = ""
    annotator: str = ""
    prompts: Prompts | None = None
    review: Review = ""

    def __post_init__(self) -> None:
        if self.class_id < 1:
            raise ValueError("a class id is 1 or more")
        if self.source not in SOURCES:
            raise ValueError(f"a source is one of {', '.join(SOURCES)}")
        if self.review not in REVIEWS:
            raise ValueError("a review is reviewed, doubtful, or empty")

    @property
    def waiting(self) -> bool:
        """Whether a model found it and no person has accepted it yet."""
        return self.source == "automatic" and self.review != "reviewed"


@dataclass(frozen=True)
class Marks:
    """What a person says about an image as a whole.

    Attributes
    ----------
    complete : bool
        Every object of the image is labelled.
    skipped : bool
        It is not to be labelled. An image is not both.
    note : str
        Anything.
    rois : tuple of (row0, col0, row1, col1)
        Rectangles in which every object is labelled, in pixels; the far edges are exclusive.
    """

    complete: bool = False
    skipped: bool = False
    note: str = ""
    rois: tuple[Roi, ...] = ()

    def __post_init__(self) -> None:
        if self.complete and self.skipped:
            raise ValueError("an image is not complete and skipped")
        if len(self.note) > LONGEST_NOTE:
            raise ValueError("a note is too long")

    def but(
        self,
        complete: bool | None = None,
        skipped: bool | None = None,
        note: str | None = None,
        rois: Sequence[Roi] | None = None,
    ) -> Marks:
        """Return other marks; None: as they are. What becomes complete is not skipped any more, and the reverse."""
        return Marks(
            self.complete and not skipped if complete is None else complete,
            self.skipped and not complete if skipped is None else skipped,
            self.note if note is None else note,
            self.rois if rois is None else tuple(rois),
        )


@dataclass(frozen=True)
class ImageStatus:
    """What lists tell of an image: how many accepted, doubtful and waiting objects it has, and its marks."""

    objects: int = 0
    doubtful: int = 0
    marks: Marks = Marks()
    waiting: int = 0

    @property
    def state(self) -> State:
        """How far the work on it is."""
        if self.marks.skipped:
            return "skipped"
        if self.marks.complete:
            return "complete"
        return "in progress" if self.objects or self.waiting or self.marks.rois else "untouched"


@dataclass(frozen=True, eq=False)
class Annotation:
    """The labels of one image.

    Attributes
    ----------
    labels : ndarray
        ``(H, W)`` int32: 0 is no object.
    objects : dict of int to ObjectInfo
        One entry for each id in ``labels``.
    marks : Marks
        What the person says about the image as a whole.
    areas : dict of int to int
        How many pixels each object has.
    """

    labels: np.ndarray
    objects: dict[int, ObjectInfo] = field(default_factory=dict)
    marks: Marks = Marks()
    areas: dict[int, int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every object of the image is labelled."""
        return self.marks.complete

    def accepted(self) -> Annotation:
        """Return what a person stands by: objects that wait are left out, and what says that nothing is missing there.

        It is itself where nothing waits.
        """
        waiting = [key for key, info in self.objects.items() if info.waiting]
        if not waiting:
            return self
        hidden = np.isin(self.labels, waiting)
        rois = tuple(roi for roi in self.marks.rois if not hidden[roi[0] : roi[2], roi[1] : roi[3]].any())
        objects = {key: info for key, info in self.objects.items() if not info.waiting}
        areas = {key: area for key, area in self.areas.items() if key in objects}
        marks = self.marks.but(complete=False, rois=rois)
        return Annotation(np.where(hidden, 0, self.labels).astype(np.int32), objects, marks, areas)

    @property
    def status(self) -> ImageStatus:
        """What lists tell of the image."""
        infos = self.objects.values()
        waiting = sum(info.waiting for info in infos)
        return ImageStatus(len(infos) - waiting, sum(i.review == "doubtful" for i in infos), self.marks, waiting)


@dataclass(frozen=True)
class ProjectSummary:
    """Numbers of a project: images, images with at least one object, objects, complete images, skipped images."""

    images: int
    annotated: int
    objects: int
    complete: int
    skipped: int = 0

    @classmethod
    def of(cls, statuses: Collection[ImageStatus]) -> ProjectSummary:
        """Return the numbers of so many images."""
        return cls(
            len(statuses),
            sum(status.objects > 0 for status in statuses),
            sum(status.objects for status in statuses),
            sum(status.marks.complete for status in statuses),
            sum(status.marks.skipped for status in statuses),
        )


def now() -> str:
    """Return the present moment, UTC, in ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def person() -> str:
    """Return the name of who is logged in; empty where it is not known."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def prompts_to_json(prompts: Prompts | None) -> str:
    """Return prompts as JSON text; None is the empty text."""
    if prompts is None:
        return ""
    content = {
        "points": [[float(row), float(col)] for row, col in prompts.points],
        "labels": [int(label) for label in prompts.labels],
        "box": None if prompts.box is None else [float(edge) for edge in prompts.box],
        "strokes": [[int(s.label), [[float(row), float(col)] for row, col in s.points]] for s in prompts.strokes],
        "outline": [[float(row), float(col)] for row, col in prompts.outline],
    }
    return json.dumps(content, allow_nan=False)


def prompts_from_json(text: str) -> Prompts | None:
    """Return the prompts of a JSON text.

    Raises
    ------
    ValueError
        It is not what :func:`prompts_to_json` writes.
    """
    if not text:
        return None
    content = json.loads(text)
    if not isinstance(content, dict) or {*_LATER_KEYS, *content} != {"points", "labels", "box", *_LATER_KEYS}:
        raise ValueError("not prompts")
    labels = content["labels"]
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise ValueError("click labels are not whole numbers")
    box = None
    if content["box"] is not None:
        row0, col0, row1, col1 = _numbers(content["box"], 4)
        box = (row0, col0, row1, col1)
    strokes = tuple(_stroke(label, corners) for label, corners in content.get("strokes", ()))
    outline = _corners(content.get("outline", []))
    return Prompts(_corners(content["points"]), tuple(labels), box, strokes=strokes, outline=outline)


def _stroke(label: Any, corners: Any) -> Stroke:
    """Return a stroke of JSON values, or raise ValueError."""
    if type(label) is not int:
        raise ValueError("not a stroke")
    return Stroke(_corners(corners), label)


def _corners(values: Any) -> tuple[Point, ...]:
    """Return a list of (row, col) as points, or raise ValueError."""
    if not isinstance(values, list):
        raise ValueError("not a list of points")
    return tuple((row, col) for row, col in (_numbers(value, 2) for value in values))


def _numbers(values: Any, count: int) -> list[float]:
    """Return a list of ``count`` finite numbers, or raise ValueError."""
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f"not {count} numbers")
    if not all(type(value) in (int, float) and math.isfinite(value) for value in values):
        raise ValueError("not finite numbers")
    return [float(value) for value in values]
