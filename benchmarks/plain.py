"""A napari without the dock, with a canvas of the same size: what napari itself takes on this machine."""

from __future__ import annotations

import time
from typing import Any

import napari
import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QEventLoop
from qtpy.QtWidgets import QWidget

from naslora_napari._qt import driving
from naslora_napari.demo.hands import Hands, pause
from naslora_napari.demo.measure import percentiles

#: Until a window has come to rest, in ms.
REST_MS = 400
#: Side of the square whose labels change, in pixels.
PART = 30


def plain_window(hands: Hands, image: np.ndarray, layers: int = 2) -> tuple[napari.Viewer, Labels]:
    """Return a napari whose window is as large as that of the dock, with an image, labels and empty layers on it."""
    viewer = napari.Viewer()
    beside = QWidget()
    beside.setFixedWidth(hands.dock.width())
    viewer.window.add_dock_widget(beside, area="right")
    window = hands.dock.window()
    viewer.window.resize(window.width(), window.height())
    viewer.add_image(image)
    labels = viewer.add_labels(np.zeros(image.shape[:2], np.int32), opacity=0.5)
    for _ in range(layers - 2):
        viewer.add_points(ndim=2)
    viewer.layers.selection.active = labels
    pause(REST_MS)
    return viewer, labels


def frames(hands: Hands, side: int, count: int) -> dict[str, Any]:
    """Return the milliseconds that napari takes from a change of some labels to the frame that shows it.

    Parameters
    ----------
    hands : Hands
        At the window with the dock.
    side : int
        Of the image, in pixels.
    count : int
        How many changes.
    """
    viewer, labels = plain_window(hands, np.zeros((side, side), np.uint8))
    place = tuple(np.mgrid[:PART, :PART].reshape(2, -1))
    loop, took = QEventLoop(), []
    driving.canvas_widget(viewer).frameSwapped.connect(loop.quit)  # type: ignore[attr-defined]
    try:
        for k in range(count + 1):
            started = time.perf_counter()
            labels.data_setitem(place, k % 2 + 1)
            loop.exec()
            took.append(1e3 * (time.perf_counter() - started))
            pause(REST_MS // 4)
    finally:
        viewer.close()
    return {"count": count, "frame_ms": percentiles(took[1:])}  # the first one warms up
