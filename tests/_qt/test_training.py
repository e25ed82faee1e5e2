"""Fine-tune, swap, go back; a training that dies leaves everything as it was."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import pytest
from qtpy.QtCore import Qt

from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer import config

from .conftest import WAIT_MS, Window, messages

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture(autouse=True)
def preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """A preset that is done in seconds."""
    monkeypatch.setitem(config.PRESET_STEPS, "quick", 5)


def test_the_button_is_off_without_labels(window: Window) -> None:
    assert not window.dock.train_panel.start_button.isEnabled()
    assert "object" in window.dock.train_panel.stage.text()


def test_fine_tune_swap_and_go_back(labelled: Window) -> None:
    window, dock = labelled, labelled.dock
    before = messages()
    with window.qtbot.waitSignal(dock.trained, timeout=3 * WAIT_MS) as ended:
        window.qtbot.mouseClick(dock.train_panel.start_button, LEFT)
    result: dict[str, Any] = ended.args[0]
    assert result["status"] == "done"
    assert len(dock.train_panel.curve.points["click"]) >= 2
    assert dock.train_panel.curve.points["loss"]
    assert result["swapped"] == result["better"]
    assert len(messages()) > len(before)
    if not result["swapped"]:
        assert dock.predictor.version == DEFAULT_MODEL
        window.qtbot.mouseClick(dock.train_panel.force_button, LEFT)
    window.until(lambda: dock.predictor.version.startswith(f"{DEFAULT_MODEL}+"))
    window.settle()
    assert dock.project is not None and len(dock.project.adapters()) == 1
    assert result["reason"] in dock.train_panel.stage.text() and "ready to train" in dock.train_panel.stage.text()
    window.click((64, 64))
    assert window.answer().version == dock.predictor.version

    window.qtbot.mouseClick(dock.train_panel.rollback_button, LEFT)
    window.until(lambda: dock.predictor.version == DEFAULT_MODEL)
    window.settle()
    assert window.answer().version == DEFAULT_MODEL


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_training_is_told(labelled: Window) -> None:
    window, dock = labelled, labelled.dock
    with window.qtbot.waitSignal(dock.trained, timeout=2 * WAIT_MS) as ended:
        window.qtbot.mouseClick(dock.train_panel.start_button, LEFT)
        window.until(lambda: dock.training.process_id is not None)
        process = dock.training.process_id
        assert process is not None
        os.kill(process, signal.SIGKILL)
    assert ended.args[0]["event"] == "error"
    assert any("killed" in message for message in messages())
    assert dock.predictor.version == DEFAULT_MODEL
    assert dock.train_panel.start_button.isEnabled()
