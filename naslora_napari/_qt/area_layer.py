"""The layer of labelled areas: rectangles of an image in which every object is labelled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari import Viewer
from napari.layers import Shapes
from qtpy.QtCore import QObject, QTimer, Signal

from naslora_trainer.data import Roi
from naslora_trainer.prompts import Point

from . import colours
from .own_changes import OwnChanges

AREAS = "Labelled areas"


class AreaLayer(QObject):
    """Draws areas into a layer of their own, and reads what the person made of them.

    Parameters
    ----------
    viewer : Viewer
        Where the layer is; when the person deletes it there, it is left alone.
    parent : QObject
        Owner.
    """

    edited = Signal(tuple)

    def __init__(self, viewer: Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Any = None
        self._shape = (0, 0)
        self._shown: tuple[Roi, ...] = ()
        #: Where was clicked, without drawing anything.
        self._clicked: Point | None = None
        self._own_change = OwnChanges()
        self._read = QTimer(self, singleShot=True, interval=0)
        self._read.timeout.connect(self.read)

    def make(self, place: dict[str, Any]) -> Shapes:
        """Return a new, empty layer at a ``place`` of the world."""
        self._layer = Shapes(
            ndim=2, name=AREAS, edge_color=colours.AREA, face_color="transparent", edge_width=2, **place
        )
        self._layer.events.data.connect(self._on_data)
        return self._layer

    def show(self, rois: Sequence[Roi], shape: tuple[int, int]) -> None:
        """Draw the areas of an image of ``shape`` (rows, columns); that is not an edit."""
        self._read.stop()
        self._shape, self._shown = shape, tuple(rois)
        if not self._present:
            return
        width = max(1.0, max(shape) / 300)
        with self._own_change:
            if len(self._layer.data):
                self._layer.selected_data = set()
                self._layer.data = []
            self._layer.current_edge_width = width
            if rois:
                corners = [np.array([(r0 - 0.5, c0 - 0.5), (r1 - 0.5, c1 - 0.5)]) for r0, c0, r1, c1 in rois]
                self._layer.add_rectangles(corners, edge_color=colours.AREA, edge_width=width, face_color="transparent")

    def read_soon(self, clicked: Point | None) -> None:
        """Tell the areas as soon as napari has handled the event; at ``clicked`` no area was drawn, but one goes."""
        self._clicked = clicked
        self._read.start()

    def read(self) -> None:
        """Tell the areas that are in the layer, where they are others than before."""
        self._read.stop()
        clicked, self._clicked = self._clicked, None
        if not self._present:
            return
        shapes = list(self._layer.data)
        if clicked is not None:  # napari has drawn a speck there
            shapes = shapes[: len(self._shown)]
        rois = [roi for shape in shapes if (roi := self._roi(shape)) is not None]
        if clicked is not None:
            rois = [roi for roi in rois if not _inside(clicked, roi)]
        found = tuple(dict.fromkeys(rois))
        changed = found != self._shown
        if changed or len(shapes) != len(self._layer.data) or len(found) != len(shapes):
            self.show(found, self._shape)
        if changed:
            self.edited.emit(found)

    @property
    def _present(self) -> bool:
        return self._layer is not None and self._layer in self._viewer.layers

    def _on_data(self, event: Any = None) -> None:
        if not self._own_change and str(self._layer.mode) != "add_rectangle":
            self._read.start()

    def _roi(self, shape: np.ndarray) -> Roi | None:
        """Return the pixels of the image in the box around a shape; None where there are none."""
        corners = np.asarray(shape)[:, -2:]
        row0, col0 = (max(0, round(float(edge) + 0.5)) for edge in corners.min(axis=0))
        ends = zip(corners.max(axis=0), self._shape, strict=True)
        row1, col1 = (min(size, round(float(edge) + 0.5)) for edge, size in ends)
        return (row0, col0, row1, col1) if row0 < row1 and col0 < col1 else None


def _inside(point: Point, roi: Roi) -> bool:
    """Return whether a place is in an area; a pixel's middle is a whole number."""
    row, col = point
    return roi[0] <= row + 0.5 < roi[2] and roi[1] <= col + 0.5 < roi[3]
