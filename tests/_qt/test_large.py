"""A large image: read in parts, seen at the zoom the person works at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt

from naslora_resources.samples import sample_folder
from naslora_trainer.images import read_image
from naslora_trainer.prompts import deepest_point
from naslora_trainer.scores import dice

from .conftest import FIRST, Window, large_objects

#: The sample tile so many times in each direction: 5120 x 5120 pixels, 79 MB.
TIMES = 40


@pytest.fixture
def large(tmp_path: Path) -> Path:
    tile = read_image(sample_folder("labelled") / "images" / f"{FIRST}.png")
    tile = tile if tile.ndim == 3 else np.stack([tile] * 3, axis=2)
    path = tmp_path / "large.tif"
    tifffile.imwrite(
        path, np.tile(tile, (TIMES, TIMES, 1)), tile=(256, 256), compression="zlib", compressionargs={"level": 1}
    )
    return path


def test_click_and_accept_on_a_large_image(closed_window: Window, large: Path) -> None:
    window = closed_window
    window.open(large)
    dock, session = window.dock, window.dock.session
    assert session is not None and window.image.multiscale and not isinstance(window.image.data[0], np.ndarray)
    nucleus = large_objects()[0]
    side = len(nucleus)
    row, col = deepest_point(nucleus)
    place = (20 * side + row, 20 * side + col)
    window.viewer.scene.camera.center = (0.0, float(place[0]), float(place[1]))
    window.viewer.scene.camera.zoom = 3.0
    window.until(lambda: dock.predictor.visible is not None and dock.predictor.visible[0] > 0)
    window.settle()
    objects = dock.canvas.layers["Objects"]  # the image layer's own coordinates are those of a level
    window.click(place, on=objects)
    found = window.answer()
    assert found.mask.size < 1024**2
    wanted = np.zeros(session.labels.shape, bool)
    wanted[20 * side : 21 * side, 20 * side : 21 * side] = nucleus
    assert dice(found.mask, wanted[found.window]) > 0.5
    preview = dock.canvas.layers["Preview"]
    assert np.allclose(preview.data_to_world((0, 0)), objects.data_to_world(found.offset))

    window.press(Qt.Key.Key_A)
    saved = window.on_disk("large")
    assert np.array_equal(saved[found.window] > 0, found.mask) and (saved > 0).sum() == found.mask.sum()
    assert np.array_equal(objects.data, saved)
    window.press(Qt.Key.Key_U)
    assert not window.on_disk("large").any()
