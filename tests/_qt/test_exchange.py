"""Labels come and go through the dock's menu; a layer of another reader is annotated; channels are chosen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from naslora_napari.store import Project
from naslora_trainer.prompts import deepest_point

from .conftest import FIRST, Window, large_objects, messages, truth


def choose(window: Window, title: str) -> None:
    """Choose an entry of the menu "Labels"."""
    (action,) = (action for action in window.dock.exchange.menu.actions() if action.text().startswith(title))
    action.trigger()
    window.settle()


def test_labels_are_imported_shown_and_exported(
    window: Window, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "from elsewhere" / f"{FIRST}.tif", tmp_path / "for others.json"
    source.parent.mkdir()
    tifffile.imwrite(source, truth(FIRST).astype(np.uint16))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(source), ""))
    choose(window, "Import labels from a file")
    assert np.array_equal(window.dock.canvas.layers["Objects"].data > 0, truth(FIRST) > 0)
    assert np.array_equal(window.on_disk() > 0, truth(FIRST) > 0)
    count = len(np.unique(truth(FIRST))) - 1
    assert any(f"Imported {count} objects on 1 image" in message for message in messages())

    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(target), ""))
    choose(window, "Export as COCO with run lengths")
    assert len(json.loads(target.read_text())["annotations"]) == count
    choose(window, "Import labels from a file")  # there are labels now: they stay
    assert "0 objects" in messages()[-1] and len(np.unique(window.on_disk())) == count + 1


def test_an_image_layer_becomes_a_project(
    closed_window: Window, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = closed_window
    pixels = truth(FIRST).astype(np.float32)
    window.viewer.add_image(pixels, name="from a reader", scale=(0.5, 0.5))
    labels = window.viewer.add_labels((truth(FIRST) == 1).astype(int), name="mine")
    window.viewer.layers.selection = {window.viewer.layers["from a reader"], labels}
    path = tmp_path / "of a layer.naslora"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    with window.qtbot.waitSignal(window.dock.imageReady, timeout=60_000):
        window.qtbot.mouseClick(window.dock.open_panel.layer_button, Qt.MouseButton.LeftButton)
    window.settle()
    (entry,) = Project.open(path).images
    assert np.array_equal(window.on_disk(entry.name) > 0, truth(FIRST) == 1)
    assert not labels.visible and window.dock.project is not None and window.dock.project.path == path


def test_without_a_selected_image_the_person_is_told(window: Window) -> None:
    window.qtbot.mouseClick(window.dock.open_panel.layer_button, Qt.MouseButton.LeftButton)
    assert "Select an image" in messages()[-1]


def test_channels_are_chosen_and_seen(closed_window: Window, tmp_path: Path) -> None:
    window = closed_window
    dim, bright = (np.where(truth(FIRST) > 0, 100, 20) + np.arange(128)) * 3, truth(FIRST) * 200
    dyes = np.stack([bright, dim, bright, dim, bright]).astype(np.uint16)
    tifffile.imwrite(tmp_path / "dyes.ome.tif", dyes, metadata={"axes": "CYX", "Channel": {"Name": list("abcde")}})
    window.open(tmp_path / "dyes.ome.tif")
    choice = window.dock.open_panel.channels
    assert choice.isVisible() and window.image.rgb
    for box, index in zip(choice.lists, (2, 0, 0), strict=True):  # channel b, alone
        box.setCurrentIndex(index)
    with window.qtbot.waitSignal(window.dock.imageReady, timeout=60_000):
        choice.lists[0].activated.emit(2)
    window.settle()
    assert not window.image.rgb and np.array_equal(window.image.data, dyes[1])
    window.click(deepest_point(large_objects()[0]))
    assert window.answer().mask.any()
    window.open(window.folder)
    assert not choice.isVisible()
