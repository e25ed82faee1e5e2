"""Outlines around the automatic objects that nobody has accepted yet."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari import Viewer
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from ..live import AnnotationSession
from .canvas import IMAGE, OBJECTS, Canvas
from .colours import FAILS, PASSES
from .image_layer import TRANSFORM, place_of
from .planes import NOTHING

NAME = "To review"
#: In pixels of the image.
WIDTH = 1
#: Of larger images, in pixels, outlines take too long to be found after each stroke.
LARGEST = 2**24


class WaitingLayer:
    """A layer that is seen only while something waits. It shows the plane of the layer of objects, and copies nothing.

    Parameters
    ----------
    viewer : Viewer
        Where the layer is.
    canvas : Canvas
        Has the layer of objects.
    """

    def __init__(self, viewer: Viewer, canvas: Canvas) -> None:
        self._viewer, self._canvas = viewer, canvas
        self._layer: Any = None
        self._colors: dict[int, str] = {}

    def show(self, session: AnnotationSession) -> None:
        """Draw what waits in the open image as it is now."""
        infos = session.objects.items()
        colors = {key: FAILS if info.review == "doubtful" else PASSES for key, info in infos if info.waiting}
        shown = bool(colors) and session.labels.size <= LARGEST
        if not self._canvas.present(OBJECTS) or not (shown or self._layer in self._viewer.layers):
            return
        objects: Any = self._canvas.layers[OBJECTS]
        if self._layer not in self._viewer.layers:
            self._add(objects)
        layer = self._layer
        layer.visible = shown  # it stays in the list, since to take it out and in again takes long
        self._follow(objects)
        if shown and colors != self._colors:
            others: dict[Any, Any] = {None: NOTHING, 0: NOTHING}
            layer.colormap = DirectLabelColormap(color_dict=others | colors)
            self._colors = colors
        elif shown:
            layer.refresh()

    def _add(self, objects: Any) -> None:
        """Put the layer above that of the objects; the layer that is worked on stays the chosen one."""
        self._colors = {}
        self._layer = Labels(objects.data, name=NAME, opacity=1.0, **place_of(self._canvas.layers[IMAGE]))
        self._layer.contour = WIDTH
        self._viewer.layers.insert(self._viewer.layers.index(objects) + 1, self._layer)
        self._layer.editable = False
        self._canvas.set_mode(self._canvas.mode)

    def _follow(self, objects: Any) -> None:
        """Show the same plane at the same place."""
        layer, moved = self._layer, False
        if layer.data is not objects.data:
            moved = layer.data.shape != objects.data.shape
            layer.data = objects.data
        for name in (*TRANSFORM, "units"):
            if not np.array_equal(np.asarray(getattr(layer, name)), np.asarray(getattr(objects, name))):
                setattr(layer, name, getattr(objects, name))
                moved = True
        if moved:
            self._viewer.reset_view()  # which the plane before was a part of
