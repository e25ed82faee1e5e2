"""A stack: plane by plane, an object followed through them, and taken back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt

from naslora_napari._qt import driving
from naslora_resources.samples import sample_folder
from naslora_trainer.images import read_image
from naslora_trainer.prompts import deepest_point

from .conftest import FIRST, Window, large_objects, messages

PLANES = 5


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """The sample tile as a stack in which everything drifts to the right, and ends after four planes."""
    tile = read_image(sample_folder("labelled") / "images" / f"{FIRST}.png")
    gray = tile if tile.ndim == 2 else tile[..., 0]
    planes = [np.roll(gray, z, axis=1) for z in range(PLANES - 1)]
    planes.append(np.full_like(gray, int(np.median(gray))))
    path = tmp_path / "cells.tif"
    microns = {"axes": "ZYX", "unit": "um"}
    tifffile.imwrite(path, np.stack(planes), imagej=True, resolution=(4.0, 2.0), metadata=microns)
    return path


def test_an_object_is_followed_through_a_stack(closed_window: Window, stack: Path) -> None:
    window = closed_window
    window.open(stack)
    dock, session = window.dock, window.dock.session
    assert session is not None and session.name == "cells-z0"
    for layer in dock.canvas.layers.values():
        assert np.allclose(layer.scale, (0.5, 0.25)) and str(layer.units[0]) == "micrometer", layer.name
    nucleus = large_objects()[0]
    place = deepest_point(nucleus)
    window.click(place)
    window.press(Qt.Key.Key_A)
    assert set(session.objects) == {1}

    driving.rest(window.viewer, window.image, place)
    window.press(Qt.Key.Key_F)
    window.until(lambda: not dock.following.running)
    planes = [window.on_disk(f"cells-z{z}") for z in range(PLANES)]
    assert [plane.any() for plane in planes] == [True] * (PLANES - 1) + [False]
    assert all(set(np.unique(plane)) == {0, 1} for plane in planes[:-1])
    assert any("followed over 3 planes: on cells-z4" in message for message in messages())

    with window.qtbot.waitSignal(dock.imageReady):
        window.press(Qt.Key.Key_PageDown)
    assert session.name == "cells-z1" and np.array_equal(dock.canvas.layers["Objects"].data, planes[1])
    dims = window.viewer.dims
    assert dims.nsteps[0] == PLANES and dims.current_step[0] == 1  # napari's own slider goes with it
    assert window.viewer.layers.extent.units is not None, "napari would warn of units that do not fit each other"
    assert dims.axis_labels[0] == "z"
    with window.qtbot.waitSignal(dock.imageReady):
        window.press(Qt.Key.Key_Right)  # napari's key for the slider
    assert session.name == "cells-z2" and dims.current_step[0] == 2
    assert np.array_equal(dock.canvas.layers["Objects"].data, planes[2])
    window.press(Qt.Key.Key_U)  # the step on the last plane, which is opened for it
    window.until(lambda: session.name == "cells-z3")
    window.settle()
    assert not window.on_disk("cells-z3").any() and window.on_disk("cells-z2").any()
    assert dims.current_step[0] == 3
