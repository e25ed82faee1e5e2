"""What goes wrong is told in a sentence, and the window lives on."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from naslora_napari._qt import driving
from naslora_napari._qt.reading import Content
from naslora_napari._qt.report_dialog import ReportDialog
from naslora_trainer.prompts import deepest_point
from naslora_trainer.scores import dice

from .conftest import FIRST, SECOND, Window, large_objects, messages


def test_an_unreadable_image_is_told_with_a_report_that_others_may_read(closed_window: Window, tmp_path: Path) -> None:
    window = closed_window
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not an image")
    window.dock.open_image(broken)
    window.until(lambda: any("broken.png" in message for message in messages()))
    ((name, show_report),) = notification_manager.records[-1].actions
    assert name == "Report…"
    show_report(None)
    dialog = next(w for w in QApplication.topLevelWidgets() if isinstance(w, ReportDialog))
    window.until(dialog.copy_button.isEnabled)
    window.qtbot.mouseClick(dialog.copy_button, Qt.MouseButton.LeftButton)
    text = QApplication.clipboard().text()
    dialog.close()
    assert "UserError" in text and "torch" in text and "broken.png" not in text and str(tmp_path) not in text
    assert window.dock.project is None
    window.open(window.folder)
    window.click(deepest_point(large_objects()[0]))
    assert window.answer().mask.any()


def test_a_deleted_layer_does_not_end_the_work(window: Window) -> None:
    window.click(deepest_point(large_objects()[0]))
    window.viewer.layers.remove(window.dock.canvas.layers["Preview"])
    window.press(Qt.Key.Key_A)
    assert window.on_disk().any()
    window.viewer.layers.clear()
    window.settle()
    window.open(window.folder)
    assert window.dock.canvas.layers["Objects"].data.any()


def test_closing_while_busy_ends_the_threads(window: Window) -> None:
    window.dock.show_image("02")
    window.dock.close_down()
    window.viewer.layers.clear()
    window.qtbot.wait(50)
    assert not window.dock.busy
    assert "Escape" not in window.viewer.keymap


def test_a_click_beside_the_image_is_no_prompt(window: Window) -> None:
    window.viewer.scene.camera.zoom *= 0.5
    for place in ((-20, 60), (60, 150), (140, -12)):
        window.click(place)
    session = window.dock.session
    assert session is not None and session.prompts.empty and not window.preview.any() and not messages()


def test_an_object_that_is_accepted_while_its_image_is_read_again_stays(window: Window) -> None:
    session = window.dock.session
    assert session is not None
    window.click(deepest_point(large_objects()[0]))
    window.dock.show_image(FIRST)
    time.sleep(1)  # the thread has read it, the window has not heard of it
    session.accept()
    accepted = session.labels.copy()
    window.settle()
    assert accepted.any() and np.array_equal(session.labels, accepted)
    assert np.array_equal(window.dock.canvas.layers["Objects"].data, accepted)


def test_an_image_whose_layers_are_half_built_does_not_reach_another(window: Window) -> None:
    dock, canvas = window.dock, window.dock.canvas
    window.click(deepest_point(large_objects()[0]))
    window.press(Qt.Key.Key_A)
    assert dock.session is not None and dock.project is not None
    accepted = dock.session.labels.copy()
    content = Content.read(dock.project, dock.session, SECOND)
    window.viewer.layers.clear()
    canvas.show_image(SECOND, content.picture, content.objects, (), lambda: pytest.fail("another image was asked for"))
    window.until(lambda: "Objects" in canvas.layers)
    assert canvas.building and dock.busy and not canvas.present("Objects")
    dock.show_image(FIRST)
    window.settle()
    assert accepted.any() and np.array_equal(window.on_disk(), accepted)
    assert np.array_equal(canvas.layers["Objects"].data, accepted)
    assert not dock.project.annotation(SECOND).objects


def test_a_box_without_area_is_no_prompt_and_one_beyond_the_edge_is_cut(window: Window) -> None:
    session = window.dock.session
    assert session is not None
    window.viewer.scene.camera.zoom *= 0.5
    window.qtbot.mouseClick(window.dock.prompt_panel.mode_buttons["box"], Qt.MouseButton.LeftButton)
    for end in ((50, 50), (50, 70)):  # a point, a line
        driving.drag(window.viewer, window.image, (50, 50), end)
        window.settle()
        assert session.prompts.box is None and session.preview is None
    driving.drag(window.viewer, window.image, (-15, -15), (40, 40))
    window.until(lambda: session.preview is not None)
    assert window.answer().mask.shape == window.image.data.shape[:2] and not messages()


def test_layers_that_are_deleted_while_the_model_answers(window: Window) -> None:
    driving.click(window.viewer, window.image, deepest_point(large_objects()[0]))
    for name in ("Preview", "Clicks +"):
        window.viewer.layers.remove(window.dock.canvas.layers[name])
    window.settle()
    assert window.answer().mask.any()
    window.press(Qt.Key.Key_A)
    assert window.on_disk().any()
    window.dock.show_image(SECOND)
    window.settle()
    assert all(layer in window.viewer.layers for layer in window.dock.canvas.layers.values())


def test_an_image_that_is_closed_while_it_is_encoded(window: Window) -> None:
    window.dock.show_image(SECOND)
    window.until(lambda: "image" in window.dock.model_tasks.doing)
    window.viewer.layers.clear()
    window.settle()
    with window.qtbot.waitSignal(window.dock.imageReady):
        window.dock.show_image(FIRST)
    window.settle()
    window.click(deepest_point(large_objects()[0]))
    assert dice(window.preview, large_objects()[0]) > 0.5


def test_clicks_land_on_an_image_that_is_stretched_turned_and_moved(window: Window) -> None:
    window.image.scale, window.image.rotate, window.image.translate = (2.0, 1.0), 30, (40, -25)
    window.viewer.reset_view()
    target = large_objects()[0]
    window.click(deepest_point(target))
    session = window.dock.session
    assert session is not None and np.abs(np.subtract(session.prompts.points[0], deepest_point(target))).max() < 1
    assert np.array_equal(window.preview, window.answer().mask) and dice(window.preview, target) > 0.5
    corner = (0, 0)
    placed = [layer.data_to_world(corner) for layer in window.dock.canvas.layers.values()]
    assert np.allclose(placed, placed[0])
