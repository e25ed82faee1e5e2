"""A person clicks, sees a mask, accepts it, and takes it back: real mouse and keys in a real window."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt

from naslora_napari._qt import driving
from naslora_napari.store import Project
from naslora_trainer.prompts import box_of, deepest_point
from naslora_trainer.scores import dice

from .conftest import FIRST, SECOND, Window, large_objects

SHIFT = Qt.KeyboardModifier.ShiftModifier


def test_a_click_shows_a_mask_and_a_key_saves_it(window: Window) -> None:
    target = large_objects()[0]
    point = deepest_point(target)
    window.click(point)
    session = window.dock.session
    assert session is not None
    assert session.prompts.labels == (1,)
    assert np.abs(np.subtract(session.prompts.points[0], point)).max() < 1
    assert dice(window.answer().mask, target) > 0.5
    assert np.array_equal(window.preview, window.answer().mask)
    mask = window.answer().mask

    window.press(Qt.Key.Key_Return)

    assert np.array_equal(window.on_disk() > 0, mask)
    assert np.array_equal(window.dock.canvas.layers["Objects"].data, window.on_disk())
    assert not window.preview.any()
    assert session.prompts.empty


def test_right_and_shift_clicks_are_background(window: Window) -> None:
    target = large_objects()[0]
    window.click(deepest_point(target))
    before = window.answer()
    row, col = deepest_point(~target)
    window.click((row, col), modifiers=SHIFT)
    window.click((row + 3, col + 3), button=Qt.MouseButton.RightButton)
    session = window.dock.session
    assert session is not None
    assert session.prompts.labels == (1, 0, 0)
    assert window.answer() is not before
    assert np.array_equal(window.preview, window.answer().mask)


def test_a_dragged_box_is_answered(window: Window) -> None:
    target = large_objects()[1]
    box = box_of(target)
    window.qtbot.mouseClick(window.dock.prompt_panel.mode_buttons["box"], Qt.MouseButton.LeftButton)
    driving.drag(window.viewer, window.image, box[:2], box[2:])
    window.until(lambda: window.dock.session is not None and window.dock.session.preview is not None)
    session = window.dock.session
    assert session is not None and session.prompts.box is not None
    assert np.abs(np.subtract(session.prompts.box, box)).max() < 2
    assert dice(window.answer().mask, target) > 0.7


def test_a_click_that_is_moved_or_deleted_changes_the_answer(window: Window) -> None:
    first, second = large_objects()[:2]
    window.click(deepest_point(first))
    clicks = window.dock.canvas.layers["Clicks +"]
    clicks.data = np.array([deepest_point(second)], float)
    window.qtbot.wait(30)
    window.settle()
    assert dice(window.answer().mask, second) > dice(window.answer().mask, first)
    clicks.selected_data = {0}
    clicks.remove_selected()
    window.qtbot.wait(30)
    window.settle()
    assert not window.preview.any()


def test_discard_and_undo(window: Window) -> None:
    first, second = large_objects()[:2]
    session = window.dock.session
    assert session is not None
    window.click(deepest_point(first))
    window.press(Qt.Key.Key_Escape)
    assert session.prompts.empty and not window.preview.any()
    assert not len(window.dock.canvas.layers["Clicks +"].data)

    window.click(deepest_point(first))
    window.press(Qt.Key.Key_A)
    window.click(deepest_point(second))
    window.press(Qt.Key.Key_A)
    assert set(np.unique(window.on_disk())) == {0, 1, 2}
    window.qtbot.mouseClick(window.dock.prompt_panel.undo_button, Qt.MouseButton.LeftButton)
    window.settle()
    assert set(np.unique(window.on_disk())) == {0, 1}
    assert window.preview.any()  # the prompts of the object that was taken back are there again
    window.press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert session.prompts.empty


def test_objects_are_there_again_after_a_restart(window: Window) -> None:
    window.click(deepest_point(large_objects()[0]))
    window.press(Qt.Key.Key_A)
    saved = window.on_disk()
    window.dock.show_image(SECOND)
    window.settle()
    assert not window.dock.canvas.layers["Objects"].data.any()
    assert window.dock.project is not None
    window.open(window.dock.project.path)
    assert saved.any()
    assert np.array_equal(window.dock.canvas.layers["Objects"].data, saved)


def test_a_stroke_of_the_brush_is_saved(window: Window) -> None:
    window.qtbot.mouseClick(window.dock.prompt_panel.mode_buttons["brush"], Qt.MouseButton.LeftButton)
    row, col = deepest_point(large_objects()[0])
    driving.drag(window.viewer, window.image, (row, col - 6), (row, col + 6))
    window.until(lambda: bool(window.on_disk().any()))
    assert window.on_disk()[row, col - 6 : col + 7].all()
    assert np.array_equal(window.on_disk(), window.dock.canvas.layers["Objects"].data)


def test_scribbles_along_the_object_and_the_background(window: Window) -> None:
    target = large_objects()[0]
    row, col = deepest_point(target)
    session = window.dock.session
    assert session is not None
    window.press(Qt.Key.Key_S)
    driving.drag(window.viewer, window.image, (row - 4, col), (row + 4, col))
    window.until(lambda: session.preview is not None)
    window.settle()
    (stroke,) = session.prompts.strokes
    assert stroke.label == 1 and np.abs(np.subtract(stroke.points[0], (row - 4, col))).max() < 1
    assert dice(window.answer().mask, target) > 0.5

    away = deepest_point(~target)
    driving.drag(window.viewer, window.image, (away[0] - 4, away[1]), (away[0] + 4, away[1]), modifiers=SHIFT)
    window.until(lambda: len(session.prompts.strokes) == 2)
    window.settle()
    assert [stroke.label for stroke in session.prompts.strokes] == [1, 0]
    layers = window.dock.canvas.layers
    assert [len(layers[name].data) for name in ("Scribbles +", "Scribbles -")] == [1, 1]

    layers["Scribbles +"].selected_data = {0}
    layers["Scribbles +"].remove_selected()
    window.until(lambda: not window.preview.any())
    window.press(Qt.Key.Key_U)
    assert window.preview.any() and len(layers["Scribbles +"].data) == 1
    mask = window.preview
    window.press(Qt.Key.Key_A)
    assert np.array_equal(window.on_disk() > 0, mask)
    assert not len(layers["Scribbles +"].data) and not len(layers["Scribbles -"].data)
    assert len(Project.open(window.dock.project.path).annotation(FIRST).objects[1].prompts.strokes) == 2  # type: ignore[union-attr]


def test_a_tap_in_scribble_mode_is_a_click(window: Window) -> None:
    point = deepest_point(large_objects()[0])
    window.press(Qt.Key.Key_S)
    window.click(point)
    window.click((2, 2), modifiers=SHIFT)
    session = window.dock.session
    assert session is not None and not session.prompts.strokes and session.prompts.labels == (1, 0)
    assert np.abs(np.subtract(session.prompts.points[0], point)).max() < 1 and window.preview.any()
