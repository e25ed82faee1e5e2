"""What a person tells the model, what it answers, and how a person is simulated in training.

Coordinates are (row, col) in pixels of the image plane, here and everywhere in the project.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage
from skimage.graph import route_through_array

from .errors import UserError
from .mask_prompt import Part, cut, filled

Point = tuple[float, float]
Box = tuple[float, float, float, float]


#: A stroke is handed to the model as so many clicks along it; training shows it three to five.
STROKE_CLICKS = 5


@dataclass(frozen=True)
class Stroke:
    """A line drawn by hand.

    Attributes
    ----------
    points : tuple of (row, col)
        Its corners, at least one.
    label : int
        1 along the object, 0 along the background.
    """

    points: tuple[Point, ...]
    label: int = 1

    def __post_init__(self) -> None:
        if not self.points or self.label not in (0, 1):
            raise ValueError("a stroke has points, and the label 1 (on the object) or 0 (background)")

    def clicks(self) -> tuple[Point, ...]:
        """Return :data:`STROKE_CLICKS` points along it, equally far from each other, from one end to the other."""
        corners = np.array(self.points, float)
        along = np.concatenate([[0.0], np.hypot(*np.diff(corners, axis=0).T).cumsum()])
        where = np.linspace(0, along[-1], STROKE_CLICKS) if along[-1] else np.zeros(1)
        rows, cols = (np.interp(where, along, corners[:, axis]) for axis in (0, 1))
        return tuple((float(row), float(col)) for row, col in zip(rows, cols, strict=True))


@dataclass(frozen=True)
class Prompts:
    """The prompts for one object.

    Attributes
    ----------
    points : tuple of (row, col)
        Clicks, in pixels of the image.
    labels : tuple of int
        One for each click: 1 on the object, 0 on the background.
    box : (row0, col0, row1, col1) or None
        Opposite corners of a box around the object.
    mask : ndarray or None
        Low-resolution logits ``(1, 256, 256)`` float32 of an earlier answer for the same object. Not a person's own
        words: prompts that differ in nothing else are equal.
    strokes : tuple of Stroke
        Scribbles along the object or the background.
    outline : tuple of (row, col)
        Corners of a closed line around the object; empty, or at least three.
    mask_region : (row0, col0, row1, col1) or None
        Part of the image that ``mask`` covers, far edges exclusive; None: the whole image.
    """

    points: tuple[Point, ...] = ()
    labels: tuple[int, ...] = ()
    box: Box | None = None
    mask: np.ndarray | None = field(default=None, compare=False)
    strokes: tuple[Stroke, ...] = ()
    outline: tuple[Point, ...] = ()
    mask_region: Part | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if len(self.points) != len(self.labels):
            raise ValueError(f"{len(self.points)} points but {len(self.labels)} labels")
        if any(label not in (0, 1) for label in self.labels):
            raise ValueError("a click label is 1 (on the object) or 0 (background)")
        if 0 < len(self.outline) < 3:
            raise ValueError("an outline has at least three corners")

    @property
    def empty(self) -> bool:
        """True when nothing points at an object (negative clicks and strokes alone do not)."""
        around = self.box is not None or bool(self.outline)
        return not around and 1 not in self.labels and not any(stroke.label for stroke in self.strokes)

    @property
    def beside(self) -> tuple[Point, ...]:
        """Clicks on the background, and points of the strokes along it."""
        clicks = self.as_clicks()
        return tuple(point for point, label in zip(clicks.points, clicks.labels, strict=True) if not label)

    def continues(self, earlier: Prompts) -> bool:
        """True when these are the prompts ``earlier``, which point at an object, with clicks or strokes added."""
        clicks = len(earlier.points)
        same = (self.box, self.outline) == (earlier.box, earlier.outline)
        begun = (self.points[:clicks], self.labels[:clicks]) == (earlier.points, earlier.labels)
        more = len(self.points) > clicks or len(self.strokes) > len(earlier.strokes)
        return same and begun and more and set(earlier.strokes) <= set(self.strokes) and not earlier.empty

    def with_click(self, point: Point, label: int = 1) -> Prompts:
        """Return the prompts with one more click."""
        return replace(self, points=(*self.points, point), labels=(*self.labels, label))

    def as_clicks(self) -> Prompts:
        """Return the prompts with clicks in place of the strokes, as the model is asked."""
        along = [(point, stroke.label) for stroke in self.strokes for point in stroke.clicks()]
        points = (*self.points, *(point for point, _ in along))
        return replace(self, points=points, labels=(*self.labels, *(label for _, label in along)), strokes=())

    def in_part(self, offset: tuple[int, int], factor: int = 1) -> Prompts:
        """Return the prompts in pixels of a part of the image.

        Parameters
        ----------
        offset : (row, col)
            The image's pixel at the part's first one.
        factor : int
            By which the part is reduced: each of its pixels stands for ``factor`` x ``factor`` of the image.
        """
        row0, col0 = offset

        def moved(points: tuple[Point, ...]) -> tuple[Point, ...]:
            # a whole number is the middle of a pixel
            return tuple(((row - row0 + 0.5) / factor - 0.5, (col - col0 + 0.5) / factor - 0.5) for row, col in points)

        box = None  # its edges lie between pixels
        if self.box is not None:
            top, left, bottom, right = self.box
            box = (top - row0) / factor, (left - col0) / factor, (bottom - row0) / factor, (right - col0) / factor
        return replace(
            self,
            points=moved(self.points),
            outline=moved(self.outline),
            box=box,
            strokes=tuple(replace(stroke, points=moved(stroke.points)) for stroke in self.strokes),
        )

    def checked(self, shape: tuple[int, int]) -> Prompts:
        """Return the prompts in canonical form for an image of ``shape`` (rows, columns).

        A box gets its corners in order and is cut at the image border, as is an outline; a stroke that leaves the
        image goes along the border.

        Raises
        ------
        UserError
            A click is outside the image or not finite, a stroke is outside, or the box or the outline has no area
            inside the image.
        """
        height, width = shape
        strokes = tuple(_inside(stroke, height, width) for stroke in self.strokes)
        outline = cut(self.outline, shape) if self.outline else ()
        if self.outline and not filled(outline, shape).any():
            raise UserError("The outline has no area inside the image.", "Draw once around the object.")
        for row, col in self.points:
            if not (-0.5 <= row < height - 0.5 + 1e-6 and -0.5 <= col < width - 0.5 + 1e-6):
                raise UserError(
                    f"The click at row {row:.0f}, column {col:.0f} is outside the image.",
                    "Click on the object inside the image.",
                )
        if self.box is None:
            return replace(self, strokes=strokes, outline=outline)
        row0, row1 = sorted((self.box[0], self.box[2]))
        col0, col1 = sorted((self.box[1], self.box[3]))
        row0, row1 = max(row0, 0.0), min(row1, float(height))
        col0, col1 = max(col0, 0.0), min(col1, float(width))
        if not (row1 - row0 >= 1 and col1 - col0 >= 1):
            raise UserError(
                "The box has no area inside the image.",
                "Drag a box from one corner of the object to the other.",
            )
        return replace(self, box=(row0, col0, row1, col1), strokes=strokes, outline=outline)


def _inside(stroke: Stroke, height: int, width: int) -> Stroke:
    """Return a stroke with its corners moved into the image."""
    corners = np.array(stroke.points, float)
    moved = corners.clip(0, [height - 1, width - 1])
    if not (np.abs(moved - corners) <= 0.5).all(axis=1).any():
        raise UserError("The scribble is outside the image.", "Draw along the object inside the image.")
    return replace(stroke, points=tuple((float(row), float(col)) for row, col in moved))


@dataclass(frozen=True)
class Prediction:
    """An answer of the model to prompts.

    Attributes
    ----------
    mask : ndarray
        ``(h, w)`` bool, the best candidate, on the region of the image that the model saw; mostly all of it.
    score : float
        Its rank score, 0 to 1: predicted IoU, or stability for a click answered through boxes.
    low_res : ndarray
        ``(1, 256, 256)`` float32 logits, which a next prompt can carry as ``mask``.
    candidates, scores : ndarray
        ``(K, h, w)`` bool and ``(K,)`` float32: all candidates, best first.
    version : str
        The model that answered: base id, ``+`` adapter id if there is one.
    offset : (row, col)
        The pixel of the image at ``mask[0, 0]``.
    seen : (row0, col0, row1, col1) or None
        Part of the image that ``low_res`` covers, far edges exclusive; None: what the mask covers.
    """

    mask: np.ndarray
    score: float
    low_res: np.ndarray
    candidates: np.ndarray
    scores: np.ndarray
    version: str = ""
    offset: tuple[int, int] = (0, 0)
    seen: Part | None = None

    @property
    def part(self) -> Part:
        """The part of the image that ``low_res`` covers."""
        rows, cols = self.window
        return self.seen or (rows.start, cols.start, rows.stop, cols.stop)

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the image that the mask covers."""
        row, col = self.offset
        height, width = self.mask.shape
        return slice(row, row + height), slice(col, col + width)


def deepest_point(mask: np.ndarray) -> tuple[int, int]:
    """Return the (row, col) deepest inside ``mask`` ``(H, W)`` bool, where the image border counts as outside.

    Raises
    ------
    ValueError
        The mask is empty.
    """
    if not mask.any():
        raise ValueError("an empty mask has no inside")
    part = extent(mask)  # nothing outside its extent changes how deep a pixel is
    depth = ndimage.distance_transform_edt(np.pad(mask[part], 1))[1:-1, 1:-1]
    row, col = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return int(row) + part[0].start, int(col) + part[1].start


def extent(mask: np.ndarray) -> tuple[slice, slice]:
    """Return the smallest rows and columns that hold a mask ``(H, W)`` that is not empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    band = slice(int(rows[0]), int(rows[-1]) + 1)
    cols = np.flatnonzero(mask[band].any(axis=0))  # a small object in a large image: few rows to look through
    return band, slice(int(cols[0]), int(cols[-1]) + 1)


def next_click(predicted: np.ndarray, target: np.ndarray) -> tuple[tuple[int, int], int] | None:
    """Return the corrective click a careful person makes, or None when there is nothing to correct.

    It is deepest inside the largest connected error region (the protocol of interactive segmentation since
    Xu et al. 2016): positive on missed pixels, negative on pixels that are too much.

    Parameters
    ----------
    predicted, target : ndarray
        ``(H, W)`` bool.
    """
    differs = predicted != target
    if not differs.any():
        return None
    part = extent(differs)
    best: tuple[int, np.ndarray, int] | None = None
    for wanted, label in ((True, 1), (False, 0)):
        regions, count = ndimage.label(differs[part] & (target[part] == wanted))
        if count == 0:
            continue
        sizes = np.bincount(regions.ravel())
        sizes[0] = 0
        largest = int(np.argmax(sizes))
        if best is None or sizes[largest] > best[0]:
            best = (int(sizes[largest]), regions == largest, label)
    assert best is not None
    row, col = deepest_point(best[1])
    return (row + part[0].start, col + part[1].start), best[2]


def random_click(mask: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """Return a click as a person places it: random, but in the deeper half of ``mask`` ``(H, W)`` bool."""
    part = extent(mask)
    depth = ndimage.distance_transform_edt(np.pad(mask[part], 1))[1:-1, 1:-1]
    rows, cols = np.nonzero(depth >= 0.5 * depth.max())
    pick = int(rng.integers(len(rows)))
    return int(rows[pick]) + part[0].start, int(cols[pick]) + part[1].start


def random_scribble(mask: np.ndarray, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return ``count`` points along a stroke through ``mask`` ``(H, W)`` bool, as a person draws along an object.

    The stroke goes from one random pixel to another, as deep inside as it can (scikit-image's minimum-cost path).
    """
    part = extent(mask)
    inside = np.pad(mask[part], 1)
    depth = ndimage.distance_transform_edt(inside)
    first, last = (np.argwhere(inside)[rng.integers(int(inside.sum()))] for _ in range(2))
    cost = np.where(inside, 1 / np.maximum(depth, 1), 1e3)  # outside only where the object is in pieces
    path, _ = route_through_array(cost, first, last, fully_connected=True)
    stroke = [point for point in path if inside[tuple(point)]]
    chosen = (stroke[i] for i in np.linspace(0, len(stroke) - 1, count).round().astype(int))
    return [(int(row) - 1 + part[0].start, int(col) - 1 + part[1].start) for row, col in chosen]


def box_of(mask: np.ndarray) -> Box:
    """Return the tight box (row0, col0, row1, col1) of ``mask`` ``(H, W)`` bool; the far edges are exclusive."""
    if not mask.any():
        raise ValueError("an empty mask has no box")
    rows, cols = extent(mask)
    return float(rows.start), float(cols.start), float(rows.stop), float(cols.stop)


def jitter_box(box: Box, shape: tuple[int, int], rng: np.random.Generator, share: float = 0.1) -> Box:
    """Return ``box`` with each edge moved by up to ``share`` of its side, as a hurried hand draws it."""
    row0, col0, row1, col1 = box
    height, width = row1 - row0, col1 - col0
    noise = rng.uniform(-share, share, 4)
    moved_rows = np.clip([row0 + noise[0] * height, row1 + noise[1] * height], 0, shape[0])
    moved_cols = np.clip([col0 + noise[2] * width, col1 + noise[3] * width], 0, shape[1])
    return float(moved_rows[0]), float(moved_cols[0]), float(moved_rows[1]), float(moved_cols[1])
