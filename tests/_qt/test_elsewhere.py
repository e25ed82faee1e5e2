"""The button sends the training to a real Dask cluster, whose address a person typed, and the model comes home."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from napari import Viewer
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from naslora_napari._qt.dock import NasLoraDock
from naslora_napari.store.runs import state_of
from naslora_trainer import config

from .conftest import WAIT_MS, Window, press_in_dialog

distributed = pytest.importorskip("distributed")
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture(scope="module")
def cluster() -> Iterator[distributed.LocalCluster]:
    """One worker in a process of its own."""
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as made:
        yield made


@pytest.fixture(autouse=True)
def preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """A preset of a few steps."""
    monkeypatch.setitem(config.PRESET_STEPS, "quick", 5)


def test_the_model_of_a_cluster_is_used_by_another_window(
    labelled: Window, cluster: distributed.LocalCluster, make_napari_viewer: Callable[..., Viewer]
) -> None:
    window, dock, panel = labelled, labelled.dock, labelled.dock.train_panel
    before = window.on_disk()
    window.qtbot.mouseClick(panel.more_button, LEFT)
    window.qtbot.mouseClick(panel.where, LEFT)
    QTest.keyClicks(panel.where, cluster.scheduler_address)
    window.qtbot.mouseClick(panel.start_button, LEFT)
    window.until(lambda: bool(panel.curve.points["loss"]), 2 * WAIT_MS)
    assert dock.training.process_id is None  # it is no process of this computer
    assert dock.project is not None and dock.training.turns.current is not None
    path, run = dock.project.path, dock.training.turns.current.run
    said = press_in_dialog("Let it go on")
    assert dock.training.may_leave() and "It can go on without this window" in said[0]
    dock.close_down()
    assert state_of(run) == "running"

    viewer = make_napari_viewer(show=True)
    again = Window(viewer, NasLoraDock(viewer), window.qtbot, window.folder)
    viewer.window.add_dock_widget(again.dock, name="NAS-LoRA", area="right")
    with window.qtbot.waitSignal(again.dock.trained, timeout=4 * WAIT_MS) as ended:
        again.open(path)
    assert ended.args[0]["status"] == "done" and state_of(run) == "done"
    if not ended.args[0]["swapped"]:
        window.qtbot.mouseClick(again.dock.train_panel.force_button, LEFT)
    again.until(lambda: "+" in again.dock.predictor.version)
    again.settle()
    again.click((64, 64))
    assert again.answer().version == again.dock.predictor.version
    assert again.dock.project is not None and len(again.dock.project.adapters()) == 1
    assert np.array_equal(again.on_disk(), before)
    again.dock.close_down()
