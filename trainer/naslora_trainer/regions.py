"""Which part of a large image the model sees: at the zoom the person works at, around what is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .prompts import Box, Prompts

#: An image of at most so many times the model's input side is always seen whole, as training sees it.
WHOLE_UP_TO = 4
#: A region is handed to the encoder with at most so many pixels on its long side; masks are made at that size.
MOST_SEEN = 1024
#: Share of a region's side that what is asked about keeps from its edges, where they are not those of the image.
HALO = 1 / 8
#: So many objects fit side by side into a region that is trained on.
OBJECTS_ACROSS = 6


@dataclass(frozen=True)
class Region:
    """Rows and columns of an image plane, far edges exclusive."""

    row0: int
    col0: int
    row1: int
    col1: int

    @property
    def edges(self) -> tuple[int, int, int, int]:
        """The region as (row0, col0, row1, col1)."""
        return self.row0, self.col0, self.row1, self.col1

    @property
    def window(self) -> tuple[slice, slice]:
        """The region as slices."""
        return slice(self.row0, self.row1), slice(self.col0, self.col1)

    @property
    def side(self) -> int:
        """Its long side."""
        return max(self.row1 - self.row0, self.col1 - self.col0)

    def holds(self, box: Box, shape: tuple[int, int]) -> bool:
        """Return whether a box lies inside with the halo around it; edges of the image (of ``shape``) need none."""
        halo = HALO * self.side
        near = (box[0] - self.row0, box[1] - self.col0)
        far = (self.row1 - box[2], self.col1 - box[3])
        return all(
            (first == 0 or before >= halo) and (last == size or after >= halo)
            for first, last, before, after, size in zip(
                (self.row0, self.col0), (self.row1, self.col1), near, far, shape, strict=True
            )
        )


def whole(shape: tuple[int, int]) -> Region:
    """Return the region that is all of an image."""
    return Region(0, 0, *shape)


def side_for(shape: tuple[int, int], visible: Box | None, frame: int) -> int:
    """Return the long side of the regions in which a person works, in pixels.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    visible : box or None
        (row0, col0, row1, col1): what is on the screen; None: all of it.
    frame : int
        Side of the model's input.

    Returns
    -------
    int
        ``frame`` times a power of two, so that the same regions come again, and no less than what is visible; or the
        long side of the image, for one that is small or seen whole.
    """
    long_side = max(shape)
    if visible is None or long_side <= WHOLE_UP_TO * frame:
        return long_side
    seen = max(min(far, size) - max(near, 0.0) for near, far, size in zip(visible[:2], visible[2:], shape, strict=True))
    side = frame
    while side < min(seen, long_side):
        side *= 2
    return min(side, long_side)


def regions_around(shape: tuple[int, int], boxes: Sequence[Box], frame: int) -> list[Region]:
    """Return regions in which labelled objects are seen as a person sees them who works on one after the other.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    boxes : sequence of box
        Around the objects.
    frame : int
        Side of the model's input.

    Returns
    -------
    list of Region
        Each object is inside of one, with its halo; all of an image that is seen whole anyway. Their side is ``frame``
        times a power of two, and at least :data:`OBJECTS_ACROSS` times that of most objects.
    """
    if max(shape) <= WHOLE_UP_TO * frame or not boxes:
        return [whole(shape)]
    sides = sorted(max(row1 - row0, col1 - col0) for row0, col0, row1, col1 in boxes)
    wanted = OBJECTS_ACROSS * sides[(3 * len(sides)) // 4]
    side = side_for(shape, (0, 0, wanted, wanted), frame)
    found: list[Region] = []
    for box in sorted(boxes):
        if not any(region.holds(box, shape) for region in found):
            found.append(region_for(shape, box, side))
    return found


def region_for(shape: tuple[int, int], asked: Box, side: int, last: Region | None = None) -> Region:
    """Return the region of an image in which a question is answered.

    Regions lie on a grid of half their side, so that every place is deep inside of one. Where what is asked about does
    not fit, with a halo, the side is doubled until it does.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    asked : box
        Around all prompts (see :func:`extent_of`).
    side : int
        Of the regions, as :func:`side_for` returns it.
    last : Region, optional
        Where the last question was answered: it is taken again where it fits.
    """
    if last is not None and last.side == min(side, max(shape)) and last.holds(asked, shape):
        return last
    while side < max(shape):
        (row0, row1), (col0, col1) = (_span(shape[axis], asked[axis], asked[axis + 2], side) for axis in (0, 1))
        region = Region(row0, col0, row1, col1)
        if region.holds(asked, shape):
            return region
        side *= 2
    return whole(shape)


def larger(shape: tuple[int, int], region: Region, asked: Box) -> Region:
    """Return the region for the same question with twice the side."""
    return region_for(shape, asked, 2 * region.side)


def extent_of(prompts: Prompts) -> Box:
    """Return the box around clicks, strokes, outline and box of prompts that are not empty."""
    clicks = (*prompts.as_clicks().points, *prompts.outline)
    rows, cols = [row for row, _ in clicks], [col for _, col in clicks]
    if prompts.box is not None:
        rows += [prompts.box[0], prompts.box[2]]
        cols += [prompts.box[1], prompts.box[3]]
    return min(rows), min(cols), max(rows), max(cols)


def _span(size: int, first: float, last: float, side: int) -> tuple[int, int]:
    """Return start and stop, on one axis, of the region on the grid whose middle is the nearest."""
    if side >= size:
        return 0, size
    step = side // 2
    middle = (first + last) / 2
    start = round((middle - side / 2) / step) * step
    start = max(0, min(start, size - side))
    return start, start + side
