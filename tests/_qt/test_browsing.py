"""The list of images, marks, areas, and images that were moved, in the window."""

from __future__ import annotations

import shutil
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QInputDialog

from naslora_napari._qt import driving
from naslora_napari._qt.area_layer import AREAS
from naslora_napari.store import ObjectInfo, Project
from naslora_napari.store.listing import status_text
from naslora_napari.store.records import Marks
from naslora_trainer.prompts import deepest_point

from .conftest import FIRST, SECOND, Window, large_objects, messages, truth


@pytest.fixture
def many(closed_window: Window, tmp_path: Path) -> Window:
    """A window in which a project of 60 images in two folders is open, with its list."""
    paths = []
    for k in range(60):
        path = tmp_path / ("plate A" if k < 30 else "plate B") / f"well{k:02d}.png"
        path.parent.mkdir(exist_ok=True)
        iio.imwrite(path, np.full((40, 40), 4 * k, np.uint8))
        paths.append(path)
    project = Project.create(tmp_path / "p", paths)
    mask = np.zeros((40, 40), bool)
    mask[3:20, 3:20] = True
    for name in ("well01", "well02"):
        project.add_object(name, mask, ObjectInfo())
    project.mark("well01", complete=True)
    project.mark("well03", skipped=True, note="dust")
    project.close()
    closed_window.open(project.path)
    QTest.mouseClick(closed_window.dock.open_panel.list_button, Qt.MouseButton.LeftButton)
    return closed_window


def disk(window: Window, name: str = FIRST) -> Marks:
    """Return what a fresh program reads."""
    assert window.dock.project is not None
    return Project.open(window.dock.project.path).annotation(name).marks


def test_the_list_is_searched_filtered_and_gone_through(many: Window) -> None:
    panel, dock = many.dock.open_panel, many.dock
    images = panel.list
    assert images.isVisible() and images.model.rowCount() == 60 and images.current == "well00"
    many.until(lambda: panel.summary.text() == "2 of 60 images, 2 objects")
    QTest.keyClicks(images.search, "plate b well4")
    QTest.keyClick(images.search, Qt.Key.Key_Return)
    many.settle()
    assert not any("accept" in message for message in messages())
    assert images.model.names == [f"well{k}" for k in range(40, 50)]
    assert dock.session is not None and dock.session.name == "well40"
    many.press(Qt.Key.Key_PageDown)
    assert dock.session.name == "well41"
    images.search.clear()
    many.until(lambda: images.model.rowCount() == 60)
    assert images.view.currentIndex().row() == 41
    images.kind.setCurrentIndex(images.kind.findData("complete"))
    images.kind.activated.emit(images.kind.currentIndex())
    assert images.model.names == ["well01"] and dock.session.name == "well41"
    images.kind.setCurrentIndex(0)
    images.kind.activated.emit(0)
    QTest.keyClick(images.view, Qt.Key.Key_Home)
    many.settle()
    many.press(Qt.Key.Key_PageDown, Qt.KeyboardModifier.ShiftModifier)
    assert dock.session.name == "well02"
    many.press(Qt.Key.Key_PageDown, Qt.KeyboardModifier.ShiftModifier)
    assert dock.session.name == "well04"


def test_only_rows_on_the_screen_get_pictures_and_these_are_kept(many: Window) -> None:
    model, project = many.dock.open_panel.list.model, many.dock.project
    assert project is not None
    kept = project.path / "cache" / "thumbnails"
    many.until(lambda: all(model.data(model.index(row, 0), Qt.ItemDataRole.DecorationRole) for row in range(5)))
    assert 5 <= len(list(kept.glob("*.png"))) < 30
    QTest.keyClick(many.dock.open_panel.list.view, Qt.Key.Key_End)
    many.settle()
    many.until(lambda: "well59" in model._pictures)
    assert "well30" not in model._pictures
    color = model._pictures["well59"].toImage().pixelColor(5, 5)
    assert color.red() == 4 * 59


def test_marks_are_made_with_buttons_keys_and_the_menu(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = window.dock.open_panel
    window.press(Qt.Key.Key_I)
    assert panel.complete_button.isChecked() and disk(window).complete
    QTest.mouseClick(panel.skip_button, Qt.MouseButton.LeftButton)
    assert not panel.complete_button.isChecked() and disk(window) == Marks(skipped=True)
    monkeypatch.setattr(QInputDialog, "getMultiLineText", lambda *_: ("zwei Kerne\nberühren sich", True))
    menu = {action.text().split(":")[0]: action for action in panel.list.menu(SECOND).actions()}
    menu["Complete"].trigger()
    menu["Note…"].trigger()
    window.settle()
    assert disk(window, SECOND) == Marks(complete=True, note="zwei Kerne\nberühren sich")
    window.press(Qt.Key.Key_PageDown)
    assert panel.complete_button.isChecked() and not panel.skip_button.isChecked()
    assert window.dock.project is not None and window.dock.project.status(SECOND).state == "complete"


def test_areas_are_drawn_removed_and_there_again(window: Window) -> None:
    window.viewer.scene.camera.zoom *= 0.7  # so that there is room beside the image
    window.press(Qt.Key.Key_O)
    assert window.dock.open_panel.area_button.isChecked()
    assert not window.dock.prompt_panel.mode_buttons["click"].isChecked()
    driving.trace(window.viewer, window.image, [(20, 30), (60, 60), (80, 110)])
    window.qtbot.wait(50)
    window.settle()
    (roi,) = disk(window).rois
    assert np.abs(np.array(roi) - (20, 30, 81, 111)).max() <= 2
    driving.trace(window.viewer, window.image, [(95, 80), (100, 90), (110, 120), (120, 136), (120, 136)])
    window.qtbot.wait(50)
    assert disk(window).rois[1][3] == truth(FIRST).shape[1] and len(window.dock.canvas.layers[AREAS].data) == 2
    assert window.dock.session is not None and window.dock.session.prompts.empty
    window.press(Qt.Key.Key_PageDown)
    assert not len(window.dock.canvas.layers[AREAS].data)
    window.press(Qt.Key.Key_PageUp)
    assert len(window.dock.canvas.layers[AREAS].data) == 2
    window.click((50, 60))
    assert disk(window).rois == (disk(window).rois[0],) and disk(window).rois[0] != roi
    assert len(window.dock.canvas.layers[AREAS].data) == 1
    window.click((5, 5))  # nowhere
    assert len(disk(window).rois) == 1


def test_moved_images_are_offered_to_be_found(
    closed_window: Window, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project.create(tmp_path / "p", sorted(closed_window.folder.glob("*.png")))
    shutil.move(closed_window.folder, tmp_path / "moved" / "nuclei")
    dock = closed_window.dock
    dock.open_project(project.path)
    closed_window.until(lambda: dock.open_panel.find_button.isVisible())
    assert "2 images are not at the old place" in dock.open_panel.missing.text()
    closed_window.until(lambda: any("Find images" in message for message in messages()))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "moved"))
    with closed_window.qtbot.waitSignal(dock.imageReady, timeout=60_000):
        QTest.mouseClick(dock.open_panel.find_button, Qt.MouseButton.LeftButton)
    closed_window.settle()
    assert not dock.open_panel.find_button.isVisible() and any("2 of 2" in message for message in messages())
    assert closed_window.image.data.shape[:2] == truth(FIRST).shape


def test_an_object_is_called_doubtful_then_reviewed(window: Window) -> None:
    window.click(deepest_point(large_objects()[0]))
    window.press(Qt.Key.Key_A)
    assert window.dock.project is not None and window.dock.session is not None
    driving.rest(window.viewer, window.image, deepest_point(window.on_disk() > 0))
    window.press(Qt.Key.Key_W)
    assert window.dock.project.status(FIRST).doubtful == 1
    assert "1 doubtful" in status_text(window.dock.project.status(FIRST))
    window.press(Qt.Key.Key_W)
    annotation = Project.open(window.dock.project.path).annotation(FIRST)
    assert [info.review for info in annotation.objects.values()] == ["reviewed"]
    window.press(Qt.Key.Key_U)
    assert window.dock.project.status(FIRST).doubtful == 1
