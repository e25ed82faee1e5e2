from __future__ import annotations

import numpy as np
import pytest
from napari.components import LayerList
from napari.layers import Image
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from naslora_napari._qt.batch_panel import BatchPanel
from naslora_napari._qt.batching import _cover
from naslora_napari._qt.image_layer import image_layer
from naslora_napari.batch.results import EXTRAS
from naslora_trainer.pictures import Picture


def test_it_shows_the_pace_and_pauses(qtbot: QtBot) -> None:
    panel = BatchPanel()
    qtbot.addWidget(panel)
    asked: list[bool] = []
    panel.paused.connect(asked.append)
    panel.show_running(True)
    event = {"event": "progress", "step": 2, "steps": 9, "name": "a.png", "per_minute": 6.0, "eta_s": 70.0}
    panel.show_event(event)
    assert panel.status.text() == "2 of 9: a.png\n6.0 images/min, 1 min left"
    panel.pause_button.click()
    assert asked == [True] and panel.pause_button.text() == "Go on" and panel.status.text().endswith("Paused.")
    panel.show_event(event | {"step": 3})  # the image that was at hand
    assert panel.status.text().startswith("3 of 9") and panel.status.text().endswith("Paused.")
    panel.pause_button.click()
    assert asked == [True, False] and panel.pause_button.text() == "Pause" and "Paused" not in panel.status.text()
    panel.pause_button.click()
    panel.show_running(False)
    panel.show_running(True)
    assert panel.pause_button.text() == "Pause"


def test_what_else_is_written_is_ticked_in_a_menu(qtbot: QtBot) -> None:
    panel = BatchPanel()
    qtbot.addWidget(panel)
    chosen: list[tuple[str, ...]] = []
    panel.extras_chosen.connect(chosen.append)
    actions = panel.also_button.menu().actions()
    assert len(actions) == len(EXTRAS) and panel.extras == ()
    actions[0].trigger()
    actions[3].trigger()
    actions[0].trigger()
    assert chosen == [("overlays",), ("overlays", "semantic"), ("semantic",)] and panel.extras == ("semantic",)
    panel.choose_extras(["coco", "from a later version"])
    assert panel.extras == ("coco",)


def test_a_small_window_scrolls_to_what_has_begun(qtbot: QtBot) -> None:
    area, inner, panel = QScrollArea(), QWidget(), BatchPanel()
    column = QVBoxLayout(inner)
    column.addSpacing(1000)
    column.addWidget(panel)
    area.setWidget(inner)
    area.setWidgetResizable(True)
    area.resize(400, 300)
    qtbot.addWidget(area)
    area.show()
    qtbot.waitExposed(area)
    assert area.verticalScrollBar().value() == 0
    panel.show_running(True)
    qtbot.waitUntil(lambda: not panel.progress.visibleRegion().isEmpty())


def test_a_result_covers_what_is_shown_in_its_units() -> None:
    """Else napari would warn of units, and a part of the image below would look like a result."""
    layers = LayerList([Image(np.zeros((40, 60)), scale=(0.5, 0.5), units=("um", "um"))])
    for shape, side, wanted in (((40, 60), None, 0.5), ((80, 120), (2.0, 2.0), 0.25), ((20, 60), (3.0, 3.0), 1.0)):
        result = image_layer("result", Picture((np.zeros(shape, np.uint8),), pixel_size=side))
        _cover(result, shape, layers.extent)
        assert tuple(result.scale) == pytest.approx((wanted, wanted)) and result.units == layers.extent.units
