"""Real mouse events at a place in the data, as tests and the demo give them; the only use of a private canvas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari import Viewer
from napari.layers import Layer
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget


def canvas_widget(viewer: Viewer) -> QWidget:
    """Return the Qt widget of the canvas."""
    return viewer.window._qt_viewer.canvas.native


def canvas_position(viewer: Viewer, layer: Layer, point: Sequence[float]) -> QPoint:
    """Return the pixel of the canvas at ``point`` (row, col) in the data of ``layer``."""
    world = layer.data_to_world(point)
    view = viewer.window._qt_viewer.canvas.view
    x, y, _, w = view.scene.transform.map([world[-1], world[-2], 0, 1])
    return QPoint(round(x / w), round(y / w))


def click(
    viewer: Viewer,
    layer: Layer,
    point: Sequence[float],
    button: Qt.MouseButton = Qt.MouseButton.LeftButton,
    modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
) -> None:
    """Click at ``point`` (row, col)."""
    position = canvas_position(viewer, layer, point)
    QTest.mouseMove(canvas_widget(viewer), position)
    QTest.mouseClick(canvas_widget(viewer), button, modifiers, position)


def drag(
    viewer: Viewer,
    layer: Layer,
    start: Sequence[float],
    end: Sequence[float],
    steps: int = 6,
    modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
) -> None:
    """Press at ``start`` (row, col), move in ``steps`` steps, release at ``end``."""
    trace(viewer, layer, np.linspace(start, end, steps + 1).tolist(), modifiers)


def trace(
    viewer: Viewer,
    layer: Layer,
    points: Sequence[Sequence[float]],
    modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
) -> None:
    """Press at the first of some ``points`` (row, col), move over the others, release at the last."""
    widget = canvas_widget(viewer)
    first, *others = (canvas_position(viewer, layer, point) for point in points)
    QTest.mouseMove(widget, first)
    QTest.mousePress(widget, Qt.MouseButton.LeftButton, modifiers, first)
    for position in others:
        QTest.mouseMove(widget, position)
        QApplication.processEvents()
    QTest.mouseRelease(widget, Qt.MouseButton.LeftButton, modifiers, others[-1])


def rest(viewer: Viewer, layer: Layer, point: Sequence[float]) -> None:
    """Move the mouse to ``point`` (row, col) and leave it there."""
    QTest.mouseMove(canvas_widget(viewer), canvas_position(viewer, layer, point))


def press(viewer: Viewer, key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    """Press a key over the canvas."""
    QTest.keyClick(canvas_widget(viewer), key, modifiers)
