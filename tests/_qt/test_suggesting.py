"""The image to label next, asked for with the mouse."""

from __future__ import annotations

import shutil

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from naslora_napari._qt import suggesting
from naslora_napari.live import doubt
from naslora_resources.samples import sample_folder
from naslora_trainer.adapter import Adapter

from .conftest import FIRST, SECOND, Window, messages

THIRD = "05"


def test_the_image_that_the_model_doubts_is_opened_and_measured_again_after_a_swap(
    closed_window: Window, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suggesting, "REST_MS", 0)
    monkeypatch.setattr(doubt, "GRID", 2)  # which takes a quarter of the time
    window, dock = closed_window, closed_window.dock
    shutil.copy(sample_folder("labelled") / "images" / f"{THIRD}.png", window.folder)
    window.open(window.folder)
    assert dock.project is not None and dock.session is not None
    dock.project.mark(SECOND, complete=True)
    panel = dock.open_panel
    QTest.mouseClick(panel.suggest_button, Qt.MouseButton.LeftButton)
    window.until(lambda: dock.session is not None and dock.session.name == THIRD)
    window.settle()
    first = panel.suggest_button.toolTip()
    assert f"{THIRD}: " in first and "doubt 0." in first
    kept = dock.project.path / "cache" / "doubts"
    assert len(list(kept.iterdir())) == 2  # of the two that are not complete

    dock.model_tasks.run(lambda: dock.predictor.swap(adapter), lambda _: dock.training.swapped.emit())
    window.until(lambda: len(list(kept.iterdir())) == 4)
    window.until(lambda: f"{FIRST}: " in panel.suggest_button.toolTip())
    assert dock.session.name == THIRD
    for name in (FIRST, THIRD):
        dock.project.mark(name, skipped=True)
    QTest.mouseClick(panel.suggest_button, Qt.MouseButton.LeftButton)
    window.until(lambda: any("No other image is left" in message for message in messages()))
    assert dock.session.name == THIRD
