"""What goes wrong is told in a sentence, and the window lives on."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt

from naslora_trainer.prompts import deepest_point

from .conftest import Window, large_objects, messages


def test_an_unreadable_image_is_told(closed_window: Window, tmp_path: Path) -> None:
    window = closed_window
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not an image")
    window.dock.open_image(broken)
    window.until(lambda: any("broken.png" in message for message in messages()))
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
