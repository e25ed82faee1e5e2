"""Brush strokes in the dock's objects against the same strokes in a napari without the dock, in turns.

napari's list of layers paints all its rows anew for each move of a brush. So there are two naparis to compare with: one
with the image and its labels, and one with as many layers as the dock has, which are empty.
"""

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
    """Open an image of ``size`` x ``size`` pixels in the dock and in plain naparis, and paint in all.

    Returns
    -------
    dict
        ``brush_ratio`` and ``brush_ratio_two_layers`` (median of dock / plain within a turn, the plain napari with as
        many layers as the dock and with two), the medians in ms, and the number of turns.
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
    others = [plain_window(hands, image, count) for count in (len(hands.viewer.layers), 2)]
    for _, labels in others:
        labels.brush_size, labels.mode = BRUSH_SIZE, "paint"
    turns = []
    try:
        for k in range(strokes + 1):
            row = size * (0.2 + 0.6 * k / (strokes + 1))
            plain = [_stroke(viewer, labels, row, size) for viewer, labels in others]
            turns.append((_stroke(hands.viewer, objects, row, size), *plain))
            with beat.during("save a stroke on a large image"):
                pause(SAVED_MS)
                hands.wait(lambda: not dock.busy, "the end of the stroke")
    finally:
        for viewer, _ in others:
            viewer.close()
    turns = turns[1:]  # the first stroke warms up
    in_dock, alike, two = (round(1e3 * statistics.median(times), 1) for times in zip(*turns, strict=True))
    return {
        "brush_ratio": round(statistics.median(dock_s / alike_s for dock_s, alike_s, _ in turns), 3),
        "brush_ratio_two_layers": round(statistics.median(dock_s / two_s for dock_s, _, two_s in turns), 3),
        "dock_ms": in_dock,
        "plain_ms": alike,
        "plain_two_layers_ms": two,
        "strokes": len(turns),
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
