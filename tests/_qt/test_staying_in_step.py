"""Layers, files and the dock stay in step with what the person does around them."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt

from naslora_napari._qt import driving
from naslora_napari.store import Project
from naslora_trainer.prompts import deepest_point

from .conftest import Window, large_objects, messages

AFTER_A_REST_MS = 600


def test_all_layers_follow_the_image(window: Window) -> None:
    window.image.scale, window.image.translate = (0.5, 0.25), (10, 20)
    for layer in window.dock.canvas.layers.values():
        assert np.allclose(layer.scale, (0.5, 0.25)) and np.allclose(layer.translate, (10, 20)), layer.name


def test_keys_are_given_back_when_the_dock_closes(window: Window) -> None:
    window.click(deepest_point(large_objects()[0]))
    window.dock.close_down()
    window.viewer.layers.selection.active = window.dock.canvas.layers["Clicks +"]
    driving.press(window.viewer, Qt.Key.Key_A)
    assert not window.on_disk().any()


def test_a_stroke_that_is_taken_back_is_gone_from_the_disk(window: Window) -> None:
    window.dock.set_mode("brush")
    row, col = deepest_point(large_objects()[0])
    driving.drag(window.viewer, window.image, (row, col - 6), (row, col + 6))
    window.until(lambda: bool(window.on_disk().any()))
    window.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    window.until(lambda: not window.on_disk().any())
    assert not window.dock.canvas.layers["Objects"].data.any()


def test_a_second_stroke_elsewhere_is_a_second_object(window: Window) -> None:
    window.dock.set_mode("brush")
    for mask in large_objects()[:2]:
        row, col = deepest_point(mask)
        driving.drag(window.viewer, window.image, (row, col - 3), (row, col + 3))
        window.qtbot.wait(AFTER_A_REST_MS)
    assert len(np.unique(window.on_disk())) == 3


def test_closing_the_window_closes_the_dock(window: Window) -> None:
    window.viewer.close()
    window.until(lambda: not window.dock.model_tasks._worker._thread.is_alive())


def test_taking_the_dock_away_closes_it(window: Window) -> None:
    window.viewer.window.remove_dock_widget(window.dock)
    window.until(lambda: not window.dock.model_tasks._worker._thread.is_alive())


def test_a_folder_with_a_broken_image_opens_without_it(closed_window: Window) -> None:
    (closed_window.folder / "zz.png").write_bytes(b"no")
    closed_window.open(closed_window.folder)
    assert closed_window.dock.project is not None and len(closed_window.dock.project.images) == 2
    assert any("zz.png" in message for message in messages())


def test_a_training_belongs_to_the_project_it_began_in(window: Window) -> None:
    """Its end, while another project is open, adds the adapter to the first one."""
    dock = window.dock
    first = dock.project
    assert first is not None
    run_dir = first.path / "runs" / "x"
    run_dir.mkdir(parents=True)
    (run_dir / "adapter.safetensors").write_bytes(b"x")
    dock.training._run_project, dock.training._run_dir = first, run_dir
    second = Project.create(window.folder.parent / "b", [window.folder / "00.png"])
    window.open(second.path)
    dock.training._adopt({"event": "result", "better": False, "reason": "It is not better."})
    window.settle()
    assert first.adapters() and not second.adapters()
