"""Brush strokes in the dock's objects against the same strokes in a napari without the dock, in turns."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import napari
import numpy as np
from napari.layers import Layer
from qtpy.QtCore import QCoreApplication

from heartbeat import Heartbeat
from naslora_napari._qt import driving
from naslora_napari._qt.canvas import OBJECTS
from naslora_napari.demo.hands import Hands, pause
from plain import plain_window

#: Moves of the mouse in one stroke, and its length as a share of the image.
MOVES, REACH = 30, 0.1
BRUSH_SIZE = 20
#: The stroke is saved when the hand rests; what that takes is looked at apart, for so long, in ms.
SAVED_MS = 400


def measure(hands: Hands, beat: Heartbeat, folder: Path, size: int, strokes: int) -> dict[str, Any]:
    """Open an image of ``size`` x ``size`` pixels in the dock and in a plain napari, and paint in both.

    Returns
    -------
    dict
        ``brush_ratio`` (median of dock / plain within a pair), both medians in ms, and the number of pairs.
    """
    path = folder / "large.png"
    image = np.random.default_rng(0).integers(0, 255, (size, size), np.uint8)
    iio.imwrite(path, image, compress_level=1)
    dock = hands.dock
    ready: list[str] = []
    dock.imageReady.connect(ready.append)
    with beat.during("open a large image"):
        dock.open_image(path)
        hands.wait(lambda: bool(ready), "the large image")
    hands.press(dock.prompt_panel.mode_buttons["brush"])
    objects = dock.canvas.layers[OBJECTS]
    objects.brush_size = BRUSH_SIZE
    plain, labels = plain_window(hands, image)
    labels.brush_size, labels.mode = BRUSH_SIZE, "paint"
    pairs = []
    try:
        for k in range(strokes + 1):
            row = size * (0.2 + 0.6 * k / (strokes + 1))
            pairs.append((_stroke(plain, labels, row, size), _stroke(hands.viewer, objects, row, size)))
            with beat.during("save a stroke on a large image"):
                pause(SAVED_MS)
                hands.wait(lambda: not dock.busy, "the end of the stroke")
    finally:
        plain.close()
    pairs = pairs[1:]  # the first stroke warms up
    return {
        "brush_ratio": round(statistics.median(dock_s / plain_s for plain_s, dock_s in pairs), 3),
        "plain_ms": round(1e3 * statistics.median(plain_s for plain_s, _ in pairs), 1),
        "dock_ms": round(1e3 * statistics.median(dock_s for _, dock_s in pairs), 1),
        "strokes": len(pairs),
        "moves": MOVES,
        "image_side": size,
    }


def _stroke(viewer: napari.Viewer, layer: Layer, row: float, size: int) -> float:
    """Paint along a row of the image, every move on the screen, and return the seconds it took."""
    window = driving.canvas_widget(viewer).window()
    window.raise_()
    window.activateWindow()
    pause(SAVED_MS)
    first, last = (row, size * (0.5 - REACH)), (row, size * (0.5 + REACH))
    started = time.perf_counter()
    driving.drag(viewer, layer, first, last, MOVES)
    QCoreApplication.processEvents()
    return time.perf_counter() - started
