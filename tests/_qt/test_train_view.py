"""What a training shows of itself, in real widgets."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from naslora_napari._qt.comparison_dialog import ComparisonDialog
from naslora_napari._qt.expert_choices import AS_PRESET, ExpertChoices
from naslora_napari._qt.plan_dialog import PlanDialog
from naslora_napari._qt.train_panel import TrainPanel
from naslora_napari._qt.train_view import LARGEST, picture_in
from naslora_napari.store.plan import TrainingPlan
from naslora_trainer.config import FineTuneConfig


def jpeg(side: int = 40, value: int = 200) -> str:
    file = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), value, np.uint8)).save(file, "JPEG")
    return base64.b64encode(file.getvalue()).decode()


COMPARISON: dict[str, Any] = {
    "event": "comparison",
    "validation": {
        "click": {"base": 0.5, "before": 0.6, "after": 0.75, "noise": 0.04, "outcome": "better"},
        "box": {"before": 0.9, "after": 0.88, "noise": None, "outcome": "no difference"},
    },
    "reason": "On held-out objects the new model is better.",
    "cases": [
        {"name": "a", "object": 3, "prompt": "click", "before": 0.9, "after": 0.4, "jpeg": jpeg()},
        {"name": "b", "object": 4, "prompt": "box", "before": 0.9, "after": 0.8, "jpeg": "no picture"},
    ],
}


def test_only_small_pictures_are_shown() -> None:
    assert picture_in(jpeg()) is not None
    for strange in (None, 3, "", "####", base64.b64encode(b"<svg/>").decode(), jpeg(LARGEST + 1), "A" * 10**6):
        assert picture_in(strange) is None


def test_the_panel_shows_what_is_told(qtbot: QtBot) -> None:
    panel = TrainPanel()
    qtbot.addWidget(panel)
    panel.show()
    panel.show_running(True)
    panel.show_event({"event": "started", "steps": 10, "objects": {"train": 3, "validation": 1}})
    panel.show_event(
        {"event": "progress", "step": 2, "steps": 10, "stage": "search", "loss": 0.5, "eta_s": 30.0, "memory_mb": 2048}
    )
    assert panel.stage.text() == "Stage: search, about 30 s left, 2.0 GB"
    layers = {"layers.2.blocks.0.attn.qkv": {"identity": 0.7, "dw_conv3x3": 0.3}, "neck.0": {"identity": 1.0}}
    panel.show_event({"event": "architecture", "step": 2, "layers": layers})
    assert "identity" in panel.view.cells.toolTip() and "0.70" in panel.view.cells.toolTip()
    panel.show_event({"event": "sights", "step": 2, "pictures": [{"name": "a", "jpeg": jpeg()}, {"name": "b"}]})
    assert len(panel.view.sights.pictures) == 1
    panel.view.setCurrentWidget(panel.view.cells)
    shown = panel.view.cells.grab().toImage()
    assert shown.pixelColor(5, 8) != shown.pixelColor(shown.width() - 5, 8)
    assert not panel.compare_button.isVisible()
    panel.show_event(COMPARISON)
    assert panel.compare_button.isVisible()


def test_the_comparison_is_a_table_with_the_worst_cases(qtbot: QtBot) -> None:
    dialog = ComparisonDialog(COMPARISON)
    qtbot.addWidget(dialog)
    dialog.show()
    table = dialog.table
    rows = [[table.item(row, column).text() for column in range(5)] for row in range(table.rowCount())]
    assert rows == [
        ["0.500", "0.600", "0.750", "+0.150 ± 0.040", "better"],
        ["", "0.900", "0.880", "-0.020", "no difference"],
    ]
    assert len(dialog.pictures) == 1
    found = ComparisonDialog({**COMPARISON, "automatic": {"before": None, "after": 0.8}})
    qtbot.addWidget(found)
    assert [found.table.item(2, column).text() for column in range(5)] == ["", "", "0.800", "", ""]
    assert found.table.verticalHeaderItem(2).text() == "Automatic"


def test_a_plan_is_read_as_a_whole(qtbot: QtBot) -> None:
    plan = TrainingPlan(
        9, 80, {"cell": 70, "debris & <b>": 10}, 20, True, ("3 images have no objects yet",), background=False
    )
    dialog = PlanDialog(plan, "quick", 64, 130, None)
    qtbot.addWidget(dialog)
    dialog.show()
    text = dialog.text.text()
    assert "70" in text and "&lt;b&gt;" in text and "about 2 min for 64 steps" in text
    assert dialog.text.height() >= dialog.text.heightForWidth(dialog.text.width())


def test_an_expert_chooses_and_the_rest_is_left_as_it_is(qtbot: QtBot) -> None:
    choices = ExpertChoices()
    qtbot.addWidget(choices)
    assert choices.settings == {}
    choices.method.setCurrentText("lora")
    choices.steps.setValue(7)
    assert choices.settings == {"method": "lora", "steps": 7}
    config = FineTuneConfig.checked(preset="thorough", **choices.settings)
    assert (config.method, config.steps, config.rank) == ("lora", 7, FineTuneConfig.checked().rank)
    assert choices.steps.specialValueText() == AS_PRESET


def test_a_preset_is_suggested_until_the_person_chooses(qtbot: QtBot) -> None:
    panel = TrainPanel()
    qtbot.addWidget(panel)
    panel.suggest("standard")
    assert panel.preset.currentText() == "standard"
    panel.show()
    panel.preset.setFocus()
    qtbot.keyClick(panel.preset, Qt.Key.Key_Up)  # as a person does
    assert panel.preset.currentText() == "quick"
    panel.suggest("thorough")
    assert panel.preset.currentText() == "quick"
