"""A line drawn around the object, and the mask that a click under the resting mouse would give."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from naslora_napari._qt import driving, hover
from naslora_napari.store import Project
from naslora_trainer.prompts import box_of, deepest_point
from naslora_trainer.scores import dice

from .conftest import FIRST, Window, large_objects


def around(mask: np.ndarray, grow: float = 1.5) -> list[tuple[float, float]]:
    """Return corners of an ellipse around an object, closed."""
    row0, col0, row1, col1 = box_of(mask)
    angles = np.linspace(0, 2 * np.pi, 25)
    rows = (row0 + row1) / 2 + ((row1 - row0) / 2 + grow) * np.sin(angles)
    cols = (col0 + col1) / 2 + ((col1 - col0) / 2 + grow) * np.cos(angles)
    return [(float(row), float(col)) for row, col in zip(rows, cols, strict=True)]


def test_a_line_around_the_object_is_a_prompt(window: Window) -> None:
    session = window.dock.session
    assert session is not None
    target = large_objects()[0]
    window.press(Qt.Key.Key_L)
    driving.trace(window.viewer, window.image, around(target))
    window.until(lambda: session.preview is not None)
    window.settle()
    assert len(session.prompts.outline) > 5 and dice(window.answer().mask, target) > 0.75
    layer = window.dock.canvas.layers["Lasso"]
    assert len(layer.data) == 1

    driving.trace(window.viewer, window.image, around(large_objects()[1]))  # another line takes its place
    window.until(lambda: dice(window.preview, large_objects()[1]) > 0.6)
    assert len(layer.data) == 1
    window.press(Qt.Key.Key_U)
    window.until(lambda: dice(window.preview, target) > 0.7)
    mask = window.preview
    window.press(Qt.Key.Key_A)
    assert np.array_equal(window.on_disk() > 0, mask) and not len(layer.data)
    stored = Project.open(window.dock.project.path).annotation(FIRST).objects[1].prompts  # type: ignore[union-attr]
    assert stored is not None and len(stored.outline) > 5


def test_a_deleted_line_takes_the_mask_away(window: Window) -> None:
    session = window.dock.session
    assert session is not None
    window.press(Qt.Key.Key_L)
    driving.trace(window.viewer, window.image, around(large_objects()[0]))
    window.until(lambda: session.preview is not None)
    layer = window.dock.canvas.layers["Lasso"]
    layer.selected_data = {0}
    layer.remove_selected()
    window.until(lambda: not window.preview.any())
    assert session.prompts.empty


def test_a_click_goes_on_from_the_mask_that_is_shown(window: Window) -> None:
    session = window.dock.session
    assert session is not None
    window.click(deepest_point(large_objects()[0]))
    shown = window.answer()
    assert session.prompts.mask is None
    window.click((2, 2), button=Qt.MouseButton.RightButton)
    assert session.prompts.mask is shown.low_res
    window.press(Qt.Key.Key_Escape)
    window.click(deepest_point(large_objects()[1]))
    assert session.prompts.mask is None


def test_what_is_under_the_resting_mouse_is_shown_and_never_accepted(
    window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hover, "SLOW_S", 60.0)  # whatever the machine
    session = window.dock.session
    assert session is not None
    target = large_objects()[0]
    row, col = deepest_point(target)
    driving.rest(window.viewer, window.image, (row + 1, col))
    driving.rest(window.viewer, window.image, (row, col))
    window.until(lambda: bool(window.hovered.any()))
    assert dice(window.hovered, target) > 0.5 and session.preview is None and not window.preview.any()
    window.press(Qt.Key.Key_A)
    assert not window.on_disk().any()
    driving.rest(window.viewer, window.image, (2, 2))
    window.until(lambda: not window.hovered.any())

    driving.rest(window.viewer, window.image, (row, col))
    window.until(lambda: bool(window.hovered.any()))
    shown = window.hovered
    questions: list[float] = []
    answer = window.dock.predictor.predict
    monkeypatch.setattr(window.dock.predictor, "predict", lambda asked: (questions.append(0.0), answer(asked))[1])
    window.click((row, col))
    assert not questions and np.array_equal(window.preview, shown)  # the click is answered by what was shown
    assert window.preview.any() and not window.hovered.any()
    window.press(Qt.Key.Key_A)
    assert window.on_disk().any()


def test_a_slow_model_is_not_asked(window: Window) -> None:
    window.dock.predictor.predict_seconds = 2 * hover.SLOW_S
    row, col = deepest_point(large_objects()[0])
    driving.rest(window.viewer, window.image, (row + 1, col))
    driving.rest(window.viewer, window.image, (row, col))
    window.qtbot.wait(4 * hover.REST_MS)
    assert not window.dock.busy and not window.hovered.any()


def test_it_can_be_switched_off(window: Window) -> None:
    window.press(Qt.Key.Key_H)
    row, col = deepest_point(large_objects()[0])
    driving.rest(window.viewer, window.image, (row + 1, col))
    driving.rest(window.viewer, window.image, (row, col))
    window.qtbot.wait(400)
    window.settle()
    assert not window.dock.hover.enabled and not window.hovered.any()
