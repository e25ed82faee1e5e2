"""The layers whose content is prompts: what is drawn in them, and prompts made of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from napari import Viewer
from napari.layers import Layer, Points, Shapes
from qtpy.QtCore import QObject, QTimer, Signal

from naslora_trainer.prompts import Box, Point, Prompts, Stroke

from . import colours
from .own_changes import OwnChanges

POSITIVE, NEGATIVE, BOX, LASSO = "Clicks +", "Clicks -", "Box", "Lasso"
ALONG, BESIDE = "Scribbles +", "Scribbles -"
PROMPTS = (POSITIVE, NEGATIVE, BESIDE, ALONG, BOX, LASSO)
#: Side of the smallest box, in pixels of the image.
SMALLEST_BOX = 2


class PromptLayers(QObject):
    """Draws prompts into layers of their own, one for each kind, and reads what the person made of them.

    Parameters
    ----------
    viewer : Viewer
        Where the layers are; one that the person deletes there is left alone.
    parent : QObject
        Owner.

    Attributes
    ----------
    layers : dict of str to Layer
        By name, in the order of the layer list.
    dragging : bool
        True while a mouse button is down: a shape that is being drawn is not a prompt yet.
    """

    edited = Signal(object)

    def __init__(self, viewer: Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.layers: dict[str, Layer] = {}
        self.dragging = False
        self._shape = (0, 0)
        #: Diameter of clicks and width of lines.
        self._drawn_as = _sizes(0)
        #: Whether the newest stroke is along the background.
        self._drawn_negative = False
        #: Whether the mouse made the newest shape without being dragged.
        self._tapped = False
        self._order: tuple[Point, ...] = ()
        self._own_change = OwnChanges()
        self._read = QTimer(self, singleShot=True, interval=0)
        self._read.timeout.connect(self.read)

    def make(self, shape: tuple[int, int], place: dict[str, Any]) -> dict[str, Layer]:
        """Return new, empty layers for an image of ``shape`` (rows, columns) at a ``place`` of the world."""
        size, edge = self._drawn_as = _sizes(max(shape))
        self._shape, self._order = shape, ()
        layers: dict[str, Layer] = {}
        for key in PROMPTS:
            color = colours.NEGATIVE if key in (NEGATIVE, BESIDE) else colours.POSITIVE
            if key in (POSITIVE, NEGATIVE):
                symbol = "disc" if key == POSITIVE else "cross"
                look = {"size": size, "face_color": color, "border_color": "white", "symbol": symbol}
                layers[key] = Points(ndim=2, name=key, **look, **place)
            else:
                look = {"edge_color": color, "face_color": "transparent", "edge_width": edge}
                layers[key] = Shapes(ndim=2, name=key, **look, **place)
            layers[key].events.data.connect(self._on_data)
        self.layers = layers
        return layers

    def take(self, shape: tuple[int, int]) -> None:
        """Empty the layers for another image of ``shape`` (rows, columns)."""
        self._shape = shape
        self.show(Prompts())

    def resize(self, visible: int) -> None:
        """Draw prompts as large as on an image of ``visible`` pixels."""
        if _sizes(visible) == self._drawn_as:
            return  # napari would draw them anew
        size, edge = self._drawn_as = _sizes(visible)
        with self._own_change:
            for layer in (self.layers[key] for key in self.layers if self._present(key)):
                if isinstance(layer, Points | Shapes):
                    layer.selected_data = set()  # napari would look for what was selected, be it gone or not
                if isinstance(layer, Points):
                    layer.current_size, layer.size = size, size
                elif isinstance(layer, Shapes):
                    layer.current_edge_width, layer.edge_width = edge, edge

    def forget(self) -> None:
        """Let go of the layers."""
        self._read.stop()
        self.layers = {}
        self._order = ()

    def show(self, prompts: Prompts) -> None:
        """Draw prompts; that is not an edit."""
        self._read.stop()
        self._order = prompts.points
        with self._own_change, self.viewer.layers.events.blocker():  # the layer list need not be painted for it
            for key, wanted in ((POSITIVE, 1), (NEGATIVE, 0)):
                points = [p for p, label in zip(prompts.points, prompts.labels, strict=True) if label == wanted]
                data = np.array(points, float).reshape(-1, 2)
                if self._present(key) and not np.array_equal(self.layers[key].data, data):
                    self.layers[key].data = data
            if self._present(BOX) and self._box() != prompts.box:
                self._draw(BOX, "rectangles", [] if prompts.box is None else [_corners(prompts.box)])
            for key, wanted in ((ALONG, 1), (BESIDE, 0)):
                strokes = [stroke for stroke in prompts.strokes if stroke.label == wanted]
                if self._present(key) and self._strokes(key, wanted) != strokes:
                    # a path of napari has two corners at least
                    self._draw(key, "paths", [s.points if len(s.points) > 1 else s.points * 2 for s in strokes])
            if self._present(LASSO) and self._outline() != prompts.outline:
                self._draw(LASSO, "polygons", [prompts.outline] if prompts.outline else [])

    def click(self, key: str, point: Point) -> None:
        """Tell of one more click at ``point`` (row, col) of the image; whoever hears of it draws it with the others.

        To draw it takes a good part of the time that a model needs, so the model should hear of it first.
        """
        if self._present(key):
            self.edited.emit(self.with_click(key, point))

    def with_click(self, key: str, point: Point) -> Prompts:
        """Return the prompts with one more click at ``point`` (row, col) of the image."""
        found = self._found()
        labels = (*found.labels, int(key == POSITIVE))
        return replace(found, points=(*found.points, point), labels=labels)

    def inside(self, point: Any) -> bool:
        """Return whether a ``point`` (row, col) is in the image."""
        return bool(-0.5 <= point[0] < self._shape[0] - 0.5 and -0.5 <= point[1] < self._shape[1] - 0.5)

    def read_soon(self, negative: bool = False, tapped: bool = False) -> None:
        """Make prompts of what is in the layers as soon as napari has handled the event.

        With ``negative``, a stroke that was just drawn is along the background. With ``tapped``, a box that was just
        drawn is none: napari makes a small one where the mouse was not dragged.
        """
        self._drawn_negative = negative
        self._tapped = tapped
        self._read.start()

    @property
    def drawing(self) -> bool:
        """True while an outline is begun that napari goes on with at the next click."""
        return self._present(LASSO) and bool(self.layers[LASSO]._is_creating)  # napari has no public name for it

    def finish_drawing(self) -> None:
        """Close an outline that is begun."""
        if self.drawing:
            _restart(self.layers[LASSO])

    def _present(self, key: str) -> bool:
        return key in self.layers and self.layers[key] in self.viewer.layers

    def _draw(self, key: str, kind: str, shapes: list[Any]) -> None:
        """Draw ``shapes``, lists of corners, of a ``kind`` in the plural in place of what is in a layer."""
        layer: Any = self.layers[key]
        layer.selected_data = set()
        layer.data = []
        if shapes:
            getattr(layer, f"add_{kind}")([np.array(corners, float) for corners in shapes])

    def _on_data(self, event: Any = None) -> None:
        if not self._own_change and not self.dragging:
            self._read.start()

    def read(self) -> None:
        """Tell the prompts that are in the layers; clicks keep the order in which they were made."""
        self._read.stop()
        if self.drawing:
            return
        self._end_stroke()
        self._drop_flat_box()
        self.edited.emit(self._found())

    def _found(self) -> Prompts:
        """Return the prompts that are in the layers."""
        found: dict[Point, int] = {}
        for key, label in ((POSITIVE, 1), (NEGATIVE, 0)):
            if self._present(key):
                found |= {(float(row), float(col)): label for row, col in self.layers[key].data}
        kept = [p for p in self._order if p in found]
        ordered = (*kept, *(p for p in found if p not in kept))
        strokes = (*self._strokes(ALONG, 1), *self._strokes(BESIDE, 0))
        labels = tuple(found[p] for p in ordered)
        return Prompts(ordered, labels, self._box(), strokes=strokes, outline=self._outline())

    def _drop_flat_box(self) -> None:
        """Take a box away that encloses nothing."""
        shape = self._newest(BOX)
        if shape is not None and (self._tapped or np.ptp(shape, axis=0).min() < SMALLEST_BOX):
            with self._own_change:
                self._draw(BOX, "rectangles", [])
        self._tapped = False

    def _end_stroke(self) -> None:
        """End a path that napari would go on with. One drawn with Shift is the background's, a tap is a click."""
        if not (self._present(ALONG) and self._present(BESIDE)) or str(self.layers[ALONG].mode) != "add_path":
            return
        layer: Any = self.layers[ALONG]
        with self._own_change:
            _restart(layer)
            newest = np.asarray(layer.data[-1])[:, -2:] if len(layer.data) else np.zeros((0, 2))
            tapped = len(newest) > 0 and not np.ptp(newest, axis=0).any()
            if tapped or (len(newest) and self._drawn_negative):
                layer.selected_data = {len(layer.data) - 1}
                layer.remove_selected()
                if tapped and self.inside(newest[0]):
                    self.layers[NEGATIVE if self._drawn_negative else POSITIVE].add(newest[0])
                elif not tapped:
                    self.layers[BESIDE].add_paths([newest])
        self._drawn_negative = False

    def _strokes(self, key: str, label: int) -> list[Stroke]:
        """Return the scribbles of a layer."""
        shapes = self.layers[key].data if self._present(key) else []
        return [Stroke(_points(shape), label) for shape in shapes]

    def _box(self) -> Box | None:
        """The newest shape of its layer as a box."""
        shape = self._newest(BOX)
        if shape is None:
            return None
        (row0, col0), (row1, col1) = shape.min(axis=0) + 0.5, shape.max(axis=0) + 0.5
        return float(row0), float(col0), float(row1), float(col1)

    def _outline(self) -> tuple[Point, ...]:
        """The newest shape of its layer as an outline; empty when it is none."""
        shape = self._newest(LASSO)
        return () if shape is None or len(shape) < 3 else _points(shape)

    def _newest(self, key: str) -> np.ndarray | None:
        """Return the corners (n, 2) of the newest shape of a layer; older ones are taken away."""
        if not self._present(key) or not len(self.layers[key].data):
            return None
        layer = self.layers[key]
        if len(layer.data) > 1:
            with self._own_change:
                layer.selected_data = set(range(len(layer.data) - 1))
                layer.remove_selected()
        return np.asarray(layer.data[-1])[:, -2:]


def _sizes(visible: int) -> tuple[float, float]:
    """Return the diameter of clicks and the width of lines, in pixels of the image, where so many are visible."""
    return max(3.0, visible / 45), max(1.0, visible / 200)


def _restart(layer: Any) -> None:
    """End the shape that is being drawn in a layer, and stay in its mode."""
    mode, layer.mode = layer.mode, "pan_zoom"
    layer.mode = mode


def _points(shape: np.ndarray) -> tuple[Point, ...]:
    return tuple((float(row), float(col)) for row, col in np.asarray(shape)[:, -2:])


def _corners(box: Box) -> list[Point]:
    """Return two corners of a box in the data of a layer, where a pixel's middle is a whole number."""
    row0, col0, row1, col1 = box
    return [(row0 - 0.5, col0 - 0.5), (row1 - 0.5, col1 - 0.5)]
