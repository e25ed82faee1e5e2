"""Outlines around the automatic objects that nobody has accepted yet."""

from __future__ import annotations

from typing import Any

from napari import Viewer
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from ..live import AnnotationSession
from .canvas import IMAGE, NOTHING, OBJECTS, Canvas
from .image_layer import TRANSFORM, place_of

NAME = "To review"
#: Of Okabe and Ito: sky blue, and vermilion for what is doubtful.
WAITS, DOUBTFUL = "#56b4e9", "#d55e00"
#: In pixels of the image.
WIDTH = 1
#: Of larger images, in pixels, outlines take too long to be found after each stroke.
LARGEST = 2**24


class WaitingLayer:
    """A layer that is there only while something waits. It shows the plane of the layer of objects, and copies nothing.

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
        colors = {key: DOUBTFUL if info.review == "doubtful" else WAITS for key, info in infos if info.waiting}
        if not colors or not self._canvas.present(OBJECTS) or session.labels.size > LARGEST:
            return self._remove()
        objects: Any = self._canvas.layers[OBJECTS]
        present = self._layer in self._viewer.layers
        if not present:
            self._colors = {}
            self._layer = Labels(objects.data, name=NAME, opacity=1.0, **place_of(self._canvas.layers[IMAGE]))
            self._layer.contour = WIDTH
        elif self._layer.data is not objects.data:
            self._layer.data = objects.data
        for name in (*TRANSFORM, "units") if present else ():
            setattr(self._layer, name, getattr(objects, name))
        if colors != self._colors:
            self._colors = colors
            others: dict[Any, Any] = {None: NOTHING, 0: NOTHING}
            self._layer.colormap = DirectLabelColormap(color_dict=others | colors)
        else:
            self._layer.refresh()
        if not present:
            self._viewer.layers.insert(self._viewer.layers.index(objects) + 1, self._layer)
            self._layer.editable = False
            self._canvas.set_mode(self._canvas.mode)  # the layer that is worked on stays the chosen one

    def _remove(self) -> None:
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)
            self._canvas.set_mode(self._canvas.mode)
