"""A person works on accepted objects: back and forth over images, reopened, deleted, given a class, with real keys."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from naslora_napari._qt import driving
from naslora_napari.live.tidy import tidied
from naslora_napari.store import Project
from naslora_trainer.prompts import deepest_point

from .conftest import FIRST, SECOND, Window, large_objects, messages

CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def point_at(window: Window, point: tuple[int, int]) -> None:
    """Move the mouse there."""
    QTest.mouseMove(driving.canvas_widget(window.viewer), driving.canvas_position(window.viewer, window.image, point))
    window.qtbot.wait(50)


def accept_at(window: Window, point: tuple[int, int]) -> None:
    window.click(point)
    window.press(Qt.Key.Key_A)


def test_undo_and_redo_go_back_to_the_image_they_belong_to(window: Window) -> None:
    session = window.dock.session
    assert session is not None
    accept_at(window, deepest_point(large_objects()[0]))
    saved = window.on_disk()
    window.press(Qt.Key.Key_PageDown)
    assert session.name == SECOND and saved.any()
    second = deepest_point(large_objects(SECOND)[0])
    window.click(second)
    window.press(Qt.Key.Key_U)
    assert session.name == SECOND and session.prompts.empty
    window.press(Qt.Key.Key_U)
    assert session.name == FIRST and not window.on_disk().any()
    assert window.preview.any() and len(window.dock.canvas.layers["Clicks +"].data) == 1
    window.press(Qt.Key.Key_Y)
    assert np.array_equal(window.on_disk(), saved)
    assert np.array_equal(window.dock.canvas.layers["Objects"].data, saved)
    window.press(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert session.name == SECOND and len(session.prompts.points) == 1 and window.preview.any()
    window.until(window.dock.prompt_panel.undo_button.isEnabled)
    assert not window.dock.prompt_panel.redo_button.isEnabled()


def test_a_stroke_is_a_step_like_any_other(window: Window) -> None:
    row, col = deepest_point(large_objects()[0])
    accept_at(window, deepest_point(large_objects()[1]))
    saved = window.on_disk()
    window.press(Qt.Key.Key_P)
    driving.drag(window.viewer, window.image, (row, col - 6), (row, col + 6))
    window.until(lambda: not np.array_equal(window.on_disk(), saved))
    painted = window.on_disk()
    window.press(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(window.on_disk(), saved)
    assert np.array_equal(window.dock.canvas.layers["Objects"].data, saved)
    window.press(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert np.array_equal(window.on_disk(), painted)


def test_the_object_under_the_mouse_is_reopened_deleted_and_given_a_class(window: Window) -> None:
    session, project = window.dock.session, window.dock.project
    assert session is not None and project is not None
    first, second = (deepest_point(mask) for mask in large_objects()[:2])
    accept_at(window, first)
    accept_at(window, second)

    project.add_class("cell")
    session.class_id = 2
    point_at(window, first)
    window.press(Qt.Key.Key_G)
    assert Project.open(project.path).annotation(FIRST).objects[1].class_id == 2

    window.press(Qt.Key.Key_R)
    assert set(np.unique(window.on_disk())) == {0, 2}
    assert window.preview[first] and np.abs(np.subtract(session.prompts.points[0], first)).max() < 1
    window.press(Qt.Key.Key_A)
    assert window.on_disk()[first] > 0 and not session.prompts.points

    point_at(window, second)
    window.press(Qt.Key.Key_X)
    assert 2 not in window.on_disk()
    window.press(Qt.Key.Key_U)
    assert window.on_disk()[second] == 2

    point_at(window, deepest_point(window.on_disk() == 0))
    window.press(Qt.Key.Key_X)
    assert "no accepted object under the mouse" in messages()[-1]
    assert {1, 2} & set(np.unique(window.on_disk()))


def test_a_mask_is_tidied_and_another_one_is_chosen_with_a_key(window: Window) -> None:
    session = window.dock.session
    assert session is not None
    point = deepest_point(large_objects()[0])
    window.click(point)
    panel, best = window.dock.prompt_panel, window.answer()
    assert panel.next_button.isEnabled() == (len(best.candidates) > 1)
    window.press(Qt.Key.Key_T)
    clean = tidied(best.mask, session.prompts.points)
    assert clean[point] and np.array_equal(window.preview, clean)
    window.qtbot.mouseClick(panel.next_button, Qt.MouseButton.LeftButton)
    if len(best.candidates) > 1:
        assert np.array_equal(window.preview, best.candidates[1])
        window.press(*[Qt.Key.Key_N])
    window.press(Qt.Key.Key_T)
    shown = window.preview
    window.press(Qt.Key.Key_A)
    assert np.array_equal(window.on_disk() > 0, shown)


def test_what_happens_at_other_objects_is_the_persons_choice(window: Window) -> None:
    first = deepest_point(large_objects()[0])
    accept_at(window, first)
    saved, box = window.on_disk(), window.dock.prompt_panel.overlap_box

    def choose(overlap: str) -> None:
        box.setFocus()
        while box.currentData() != overlap:
            QTest.keyClick(box, Qt.Key.Key_Down)

    choose("background")
    window.press(Qt.Key.Key_P)
    away = deepest_point(saved == 0)
    driving.drag(window.viewer, window.image, away, first)
    window.until(lambda: not np.array_equal(window.on_disk(), saved))
    assert np.array_equal(window.on_disk()[saved > 0], saved[saved > 0])
    window.press(Qt.Key.Key_U)
    assert np.array_equal(window.on_disk(), saved)
    window.press(Qt.Key.Key_C)
    box.setCurrentIndex(0)
    choose("overwrite")
    assert window.dock.session is not None and window.dock.session.overlap == "overwrite"
    window.click(first)
    mask = window.preview
    window.press(Qt.Key.Key_A)
    assert set(np.unique(window.on_disk()[mask])) == {2}


def test_a_stroke_is_not_lost_by_an_accept_right_after_it(window: Window) -> None:
    first, away = deepest_point(large_objects()[0]), (3, 3)
    window.click(first)
    mask = window.preview
    assert not mask[:8, :12].any()
    window.press(Qt.Key.Key_P)
    driving.drag(window.viewer, window.image, away, (3, 9))
    window.press(Qt.Key.Key_A)
    disk = window.on_disk()
    assert disk[3, 3:9].all() and disk[first] and disk[first] != disk[3, 3]
    assert np.array_equal(window.dock.canvas.layers["Objects"].data, disk)
