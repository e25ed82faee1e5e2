"""napari's own slider for stacks and series: it moves through the planes, and follows when another one is opened."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer, Points
from qtpy.QtCore import QObject, QTimer

from .canvas import IMAGE
from .image_layer import place_of
from .own_changes import OwnChanges

if TYPE_CHECKING:
    from ..store import Project
    from .dock import NasLoraDock

NAME = "Planes"
#: A plane is opened when the slider has rested so long, in ms.
REST_MS = 120


class PlaneSlider(QObject):
    """Keeps the slider and the open plane in step.

    The layers of the canvas hold one plane each, so that napari would show no slider; an invisible layer that reaches
    over all planes of the file makes it show one for each axis.

    Parameters
    ----------
    dock : NasLoraDock
        Has the viewer and opens planes.
    """

    def __init__(self, dock: NasLoraDock) -> None:
        super().__init__(dock)
        self._dock = dock
        #: Names of the images of the file, by plane.
        self._names: dict[tuple[int, ...], str] = {}
        self._layer: Layer | None = None
        self._own_change = OwnChanges()
        self._rest = QTimer(self, singleShot=True, interval=REST_MS)
        self._rest.timeout.connect(self._open)
        dock.viewer.dims.events.current_step.connect(self._on_step)

    def show_image(self, project: Project, name: str) -> None:
        """Show which plane is open; no slider where an image is no plane of several."""
        self._rest.stop()
        here = next((image for image in project.images if image.name == name), None)
        names: dict[tuple[int, ...], str] = {}
        if here is not None and here.plane:
            planes = [image for image in project.images if image.path == here.path]
            names = {image.plane: image.name for image in planes if len(image.plane) == len(here.plane)}
        with self._own_change:
            if names != self._names or not self._present:
                self._reach_over(names)
            if here is not None and self._present:
                self._dock.viewer.dims.set_current_step(range(len(here.plane)), here.plane)

    def close(self) -> None:
        """Let go of the viewer."""
        self._rest.stop()
        self._dock.viewer.dims.events.current_step.disconnect(self._on_step)

    @property
    def _present(self) -> bool:
        return self._layer is not None and self._layer in self._dock.viewer.layers

    def _reach_over(self, names: dict[tuple[int, ...], str]) -> None:
        """Let napari show sliders for these planes, or none."""
        layers = self._dock.viewer.layers
        if self._layer is not None and self._present:
            layers.remove(self._layer)
        self._names, self._layer = names, None
        if len(names) < 2:
            return
        corners = np.array([np.min(list(names), axis=0), np.max(list(names), axis=0)], float)
        data = np.hstack([corners, np.zeros((2, 2))])
        active = layers.selection.active
        units = ("pixel",) * len(corners[0]) + place_of(self._dock.canvas.layers[IMAGE])["units"]
        self._layer = self._dock.viewer.add_layer(Points(data, name=NAME, size=1, visible=False, units=units))
        layers.move(layers.index(self._layer), 0)
        layers.selection.active = active
        letters = re.findall(r"([a-z])\d+", next(iter(names.values())).rpartition("-")[2])
        if len(letters) == len(corners[0]):
            self._dock.viewer.dims.axis_labels = (*letters, "y", "x")

    def _on_step(self, event: Any = None) -> None:
        if not self._own_change and self._present:
            self._rest.start()

    def _open(self) -> None:
        """Open the plane that was chosen with the slider."""
        session = self._dock.session
        axes = len(next(iter(self._names), ()))
        name = self._names.get(tuple(self._dock.viewer.dims.current_step[:axes]))
        if session is not None and name is not None and name != session.name:
            self._dock.show_image(name)
