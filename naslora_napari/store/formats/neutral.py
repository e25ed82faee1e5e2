"""What all formats are turned into and made of: planes of labels, and the classes of their objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from naslora_trainer.data import boxes_in
from naslora_trainer.errors import UserError
from naslora_trainer.pictures import Picture

from ..records import ClassInfo

T = TypeVar("T")
#: Rows and columns.
Size = tuple[int, int]
#: What foreign content raises where it is not what it should be.
WRONG = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, OSError, UserError)
#: An image may have so many objects.
MOST_OBJECTS = 1_000_000
#: The windows of all objects of an image may cover so many pixels, and each pixel of the image so often.
MOST_DRAWN, MOST_LAYERS = 100_000_000, 200


@dataclass(frozen=True)
class Kind:
    """A class as a file names it: its name and colour (``#rrggbb``); both may be empty."""

    name: str = ""
    color: str = ""


@dataclass(frozen=True, eq=False)
class Region:
    """One object.

    Attributes
    ----------
    mask : ndarray
        ``(h, w)`` bool.
    offset : (row, col)
        The pixel of the image at ``mask[0, 0]``; the mask lies inside the image.
    kind : Kind
        Its class.
    """

    mask: np.ndarray
    offset: tuple[int, int]
    kind: Kind = Kind()


@dataclass(eq=False)
class Plane:
    """The objects of one image.

    Attributes
    ----------
    labels : ndarray
        ``(H, W)`` int32: 0 is no object.
    kinds : dict of int to Kind
        Classes of the ids that have one.
    overlap : int
        How many pixels later objects left to earlier ones.
    left_out : list of str
        Why objects are missing, one sentence for each.
    notes : list of str
        What else a person should know.
    """

    labels: np.ndarray
    kinds: dict[int, Kind] = field(default_factory=dict)
    overlap: int = 0
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Found:
    """What a file says about one image.

    Attributes
    ----------
    file_name : str
        Name of the image file as it is told, with or without folders and suffix; empty where it is not told.
    draw : callable
        Returns the :class:`Plane` for an image of so many (rows, columns); raises one of :data:`WRONG`.
    size : (rows, columns) or None
        What the file tells; only compared with the image, never believed.
    folders : tuple of Path
        Where the image may lie.
    source : Path or None
        A label image, which might be the image itself by mistake.
    """

    file_name: str
    draw: Callable[[Size], Plane]
    size: Size | None = None
    folders: tuple[Path, ...] = ()
    source: Path | None = None


@dataclass(frozen=True)
class Place:
    """Which plane of a linked stack or series an image is.

    Attributes
    ----------
    stack : str
        The stack, whose objects keep their numbers from plane to plane.
    number : int
        Of the plane among all of them, from 0 on.
    """

    stack: str
    number: int


@dataclass(frozen=True, eq=False)
class Labelled:
    """An image of a project, to be written.

    Attributes
    ----------
    name : str
        Its name in the project, which can be a file name.
    file_name : str
        Name of its file where that is unique, or its name with the suffix of the file.
    labels : ndarray
        ``(H, W)`` int32.
    classes : dict of int to ClassInfo
        The class of each id.
    all_classes : sequence of ClassInfo
        The classes of the project.
    picture : callable
        Opens the image.
    index : mapping of str to int
        Of a plane of a stack or series: its place along each axis of planes, by its letter, such as
        ``{"t": 2, "z": 7}``; from 0 on.
    place : Place, optional
        Which plane of a linked stack it is.
    pixel_size : callable
        Returns the height and width of a pixel in micrometres, None where the file does not tell.
    """

    name: str
    file_name: str
    labels: np.ndarray
    classes: dict[int, ClassInfo]
    all_classes: Sequence[ClassInfo]
    picture: Callable[[], Picture]
    index: Mapping[str, int] = field(default_factory=dict)
    place: Place | None = None
    pixel_size: Callable[[], tuple[float, float] | None] = lambda: None

    def regions(self) -> Iterator[tuple[int, ClassInfo, Region]]:
        """Yield the id, the class and the pixels of each object, by id."""
        for key, (row0, col0, row1, col1) in boxes_in(self.labels).items():
            info, mask = self.classes[key], self.labels[row0:row1, col0:col1] == key
            yield key, info, Region(mask, (row0, col0), Kind(info.name, info.color))


def paint(size: Size, items: Iterable[T], to_region: Callable[[T, Size], Region | None]) -> Plane:
    """Return the plane of objects that are drawn one after the other: a later one keeps what is free.

    Parameters
    ----------
    size : (rows, columns)
        Of the image.
    items : iterable
        What the file says about each object.
    to_region : callable
        Returns the pixels of an item, None where it covers none; raises one of :data:`WRONG` for one that is damaged.

    Raises
    ------
    UserError
        There are too many objects, or they cover each other too often to be drawn.
    """
    plane = Plane(np.zeros(size, np.int32))
    budget = MOST_DRAWN + MOST_LAYERS * size[0] * size[1]
    for number, item in enumerate(items, 1):
        if number > MOST_OBJECTS:
            raise UserError(f"There are more than {MOST_OBJECTS} objects for one image.")
        try:
            region = to_region(item, size)
        except WRONG as error:
            plane.left_out.append(f"Object {number}: {error}")
            continue
        if region is None:
            plane.left_out.append(f"Object {number} covers no pixel of the image.")
            continue
        budget -= region.mask.size
        if budget < 0:
            raise UserError(f"The objects cover each other more than {MOST_LAYERS} times.")
        _draw(plane, number, region)
    return plane


def _draw(plane: Plane, number: int, region: Region) -> None:
    """Draw one object on what is free."""
    window = tuple(slice(o, o + n) for o, n in zip(region.offset, region.mask.shape, strict=True))
    view = plane.labels[window]
    if view.shape != region.mask.shape:
        raise UserError(f"Object {number} is not inside the image.")
    free = region.mask & (view == 0)
    kept = np.count_nonzero(free)
    plane.overlap += int(np.count_nonzero(region.mask) - kept)
    if not kept:
        plane.left_out.append(f"Object {number} lies under others or has no pixels.")
        return
    view[free] = number
    if region.kind != Kind():
        plane.kinds[number] = region.kind
