"""The sample project is one entry of a menu away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from npe2 import PluginManifest
from npe2._pytest_plugin import TestPluginManager
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from naslora_napari._qt import reader
from naslora_napari.store.sample import NAME

from .conftest import WAIT_MS
from .test_reviewing import segmented

ROOT = Path(__file__).resolve().parents[2]


def test_the_empty_dock_and_the_menu_offer_it_ready_to_fine_tune(
    npe2pm: TestPluginManager,
    make_napari_viewer: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
) -> None:
    places = iter((Path(), tmp_path / NAME))  # the dialog is closed at first
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(next(places)).strip("."), ""))
    with npe2pm.tmp_plugin(manifest=PluginManifest.from_file(ROOT / "napari.yaml")):
        viewer = make_napari_viewer(show=True)
        dock = reader.dock_of(viewer)
        qtbot.waitUntil(dock.open_panel.sample_button.isVisible)
        assert "sample project" in dock.status.message.text()
        qtbot.mouseClick(dock.open_panel.sample_button, Qt.MouseButton.LeftButton)
        assert not dock.file_tasks.doing
        assert viewer.open_sample("naslora-napari", "project") == []
    qtbot.waitUntil(lambda: dock.session is not None and dock.session.name == "00", timeout=WAIT_MS)
    assert dock.project is not None and dock.project.path.parent == tmp_path / NAME
    assert not dock.open_panel.sample_button.isVisible()
    qtbot.waitUntil(dock.train_panel.start_button.isEnabled, timeout=WAIT_MS)
    dock.reviewing.open(segmented(tmp_path))  # where napari made the dock it hands out proxies, which Qt refuses
    qtbot.waitUntil(lambda: dock.reviewing.gallery is not None and len(dock.reviewing.gallery.model.images) == 3)
    dock.close_down()


def test_without_a_viewer_the_sample_is_an_image_and_its_labels() -> None:
    open_sample = reader.project_reader(reader.SAMPLE)
    assert open_sample is not None
    assert [kind for _, _, kind in open_sample(reader.SAMPLE)] == ["image", "labels"]
