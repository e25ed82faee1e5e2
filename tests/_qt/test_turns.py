"""Trainings that wait, that outlive the window, and that are found again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from napari import Viewer
from qtpy.QtCore import Qt

from naslora_napari._qt.dock import NasLoraDock
from naslora_napari._qt.training import TWICE_S
from naslora_napari.jobs import finetune_job
from naslora_napari.store.runs import state_of
from naslora_trainer import config

from .conftest import Window, messages, press_in_dialog

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture(autouse=True)
def preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """A preset that does not end by itself."""
    monkeypatch.setitem(config.PRESET_STEPS, "quick", 100_000)


def begin(window: Window) -> Path:
    """Press the button and wait for the first checkpoint; return the run."""
    dock = window.dock
    window.qtbot.mouseClick(dock.train_panel.start_button, LEFT)
    window.until(lambda: dock.training.process_id is not None)
    assert dock.training.turns.current is not None
    run = dock.training.turns.current.run
    window.until((run / "checkpoint").exists)
    return run


def test_one_that_waits_outlives_the_window_and_the_next_one_finds_both(
    labelled: Window, make_napari_viewer: Callable[..., Viewer]
) -> None:
    window, dock, panel = labelled, labelled.dock, labelled.dock.train_panel
    assert dock.project is not None
    path = dock.project.path
    run = begin(window)
    pid = dock.training.process_id
    window.qtbot.wait(round(1000 * TWICE_S))
    for _ in range(2):  # the second press is too quick to be meant
        window.qtbot.mouseClick(panel.start_button, LEFT)
        window.settle()
    assert panel.waiting.isVisible() and panel.waiting.text().startswith("1 training waits")
    (waiting,) = [found for found in dock.project.runs() if state_of(found) == "waiting"]
    main = dock.viewer.window._qt_window
    said = press_in_dialog("Cancel")
    assert not main.close() and main.isVisible() and "It can go on without this window" in said[0]
    press_in_dialog("Let it go on")
    assert dock.training.may_leave()  # the rest of the window would go with it, and the test with that
    dock.close_down()
    time.sleep(1)
    assert pid is not None and psutil.pid_exists(pid) and state_of(run) == "running"

    viewer = make_napari_viewer(show=True)
    again = Window(viewer, NasLoraDock(viewer), window.qtbot, window.folder)
    viewer.window.add_dock_widget(again.dock, name="NAS-LoRA", area="right")
    again.open(path)
    training, panel = again.dock.training, again.dock.train_panel
    again.until(lambda: training.process_id == pid)
    again.until(lambda: panel.progress.isVisible() and "Stage" in panel.stage.text())
    assert panel.waiting.isVisible()
    again.qtbot.mouseClick(panel.unqueue_button, LEFT)
    assert not panel.waiting.isVisible() and not waiting.exists()
    begun = time.monotonic()
    with again.qtbot.waitSignal(again.dock.trained, timeout=10_000) as ended:
        again.qtbot.mouseClick(panel.cancel_button, LEFT)
    assert ended.args[0]["status"] == "cancelled" and time.monotonic() - begun < 2.5
    assert state_of(run) == "interrupted" and panel.resume_button.isVisible()

    again.qtbot.mouseClick(panel.resume_button, LEFT)
    again.until(lambda: panel.progress.isVisible() and "Stage: " in panel.stage.text() and not panel.progress.waiting)
    assert not panel.resume_button.isVisible() and len(again.dock.project.runs()) == 1  # type: ignore[union-attr]
    press_in_dialog("End it")
    assert training.may_leave()
    again.dock.close_down()
    again.until(lambda: state_of(run) == "interrupted", 10_000)


def test_what_ended_while_nobody_looked_is_taken_over(labelled: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    window, dock, project = labelled, labelled.dock, labelled.dock.project
    assert project is not None
    run = project.new_run(
        config.FineTuneConfig.checked(method="decoder-only", steps=5, shown_images=0, seed_head=False)
    )
    job = finetune_job(run, threads=1)
    job.start()
    assert job.wait(60) and not project.adapters()
    for _ in range(2):  # only once
        window.open(project.path)
        window.until(lambda: bool(project.adapters()) and not dock.training.running)
        window.settle()
    assert len(project.adapters()) == 1
    assert sum("held-out" in message.lower() for message in messages()) == 1


def test_an_address_that_is_none_is_told(labelled: Window) -> None:
    panel = labelled.dock.train_panel
    panel.where.setText("the big machine")
    labelled.qtbot.mouseClick(panel.start_button, LEFT)
    assert any("no address of a Dask scheduler" in message for message in messages())
    assert not labelled.dock.training.running and panel.start_button.isEnabled()
