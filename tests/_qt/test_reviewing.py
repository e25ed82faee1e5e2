"""The gallery of a segmented folder, in a real window: open, correct, accept, go on."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDockWidget

from naslora_napari._qt import driving
from naslora_napari._qt.gallery import Gallery
from naslora_napari._qt.waiting_layer import NAME
from naslora_napari.batch.review import FILE, Review
from naslora_napari.store import Project
from naslora_resources.samples import sample_folder

from ..batch.test_review import write_run
from .conftest import Window, large_objects, truth

IMAGES = {"00.png": 0.9, "02.png": 0.3, "05.png": 0.8}


def segmented(folder: Path) -> Path:
    """Make a folder of three samples with ready results: the true objects, of known confidence."""
    source, found = sample_folder("labelled") / "images", {}
    for name, confidence in IMAGES.items():
        labels = truth(Path(name).stem)
        labels = np.searchsorted(np.unique(labels), labels).astype(np.int32)
        found[name] = labels, [confidence] * int(labels.max())
    write_run(folder / "plate", folder / "plate_segmented", found)
    for name in IMAGES:
        shutil.copy(source / name, folder / "plate")
    return folder / "plate_segmented"


def how_far(gallery: Gallery | None) -> tuple[bool, bool]:
    """Return whether the gallery is in the window, and whether it shows a run."""
    return gallery is not None and isinstance(gallery.parent(), QDockWidget), bool(gallery and gallery.model.images)


def click(window: Window, gallery: Gallery, image: int) -> None:
    """Click on a tile and wait until its image is open."""
    place = gallery.tiles.visualRect(gallery.model.index_of(image)).center()
    QTest.mouseClick(gallery.tiles.viewport(), Qt.MouseButton.LeftButton, pos=place)
    window.settle()


def test_doubtful_images_are_corrected_and_become_labels(window: Window) -> None:
    dock, reviewing = window.dock, window.dock.reviewing
    out = segmented(window.folder)
    dock.batching.folder, dock.batching.out = window.folder / "plate", out
    dock.batching.show_result()
    window.until(lambda: "00 (masks)" in window.viewer.layers)
    turns: set[tuple[bool, bool]] = set()
    beat = QTimer(dock)
    beat.timeout.connect(lambda: turns.add(how_far(reviewing.gallery)))
    beat.start(0)
    reviewing.open(out)
    window.until(lambda: reviewing.gallery is not None and len(reviewing.gallery.model._pictures) == 3)
    beat.stop()
    assert {(False, False), (True, False), (True, True)} <= turns, "the window answers between the parts"
    gallery, review, session, project = reviewing.gallery, reviewing.review, dock.session, dock.project
    assert gallery is not None and review is not None and session is not None and project is not None
    names = [review.run.names[image] for image in gallery.model.images]
    assert names == ["02.png", "05.png", "00.png"] and gallery.tiles.isVisible()
    first, second, last = gallery.model.images

    assert gallery.window().focusWidget() is gallery.tiles
    click(window, gallery, first)
    assert gallery.window().focusWidget() is driving.canvas_widget(window.viewer), "the keys of the canvas work at once"
    assert not [layer for layer in window.viewer.layers if layer.name.startswith("00 (")], "it would cover the image"
    found = len(session.objects)
    assert session.name == "plate_02" and found == len(np.unique(truth("02"))) - 1
    assert project.status("plate_02").waiting == found and project.summary().objects == 0
    outlines = window.viewer.layers[NAME]
    assert outlines.data is dock.canvas.layers["Objects"].data and np.array_equal(outlines.scale, window.image.scale)
    assert window.viewer.layers.selection.active is dock.canvas.layers["Clicks +"]

    big = int(session.labels[large_objects("02")[0]].max())
    dock.canvas.set_mode("brush")
    layer = dock.canvas.layers["Objects"]
    rows, cols = np.nonzero(layer.data == big)
    layer.data_setitem((rows[:3], cols[:3]), 0)  # as the eraser does
    dock.canvas.flush()
    dock.set_mode("click")
    assert not session.objects[big].waiting and project.summary().objects == 1, "what is corrected is accepted"
    other = int(session.labels[large_objects("02")[1]].max())
    window.viewer.cursor.position = layer.data_to_world(np.argwhere(large_objects("02")[1])[0])
    dock.editing.accept()
    assert not session.objects[other].waiting and project.summary().objects == 2, "the one under the mouse"

    window.press(Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    window.until(lambda: session.name == "05")
    window.settle()
    kept = Project.open(project.path)
    assert kept.annotation("plate_02").status.objects == found and kept.annotation("plate_02").status.waiting == 0
    assert kept.annotation("05").status.waiting == len(session.objects) > 0
    assert gallery.current == second and gallery.model.state(first) == "accepted" and outlines.visible
    assert [one.name for one in kept.snapshot(256)] == ["plate_02"], "nothing learns from what waits"

    distribution = gallery.distribution
    distribution.choice.setCurrentIndex(distribution.choice.findData("confidence"))
    line = distribution.lines[0]
    line.setValue(0.85)
    line.sigDragged.emit(line)
    window.until(lambda: list(gallery.model.images) == [first, second])
    line.sigPositionChangeFinished.emit(line)
    assert gallery.kind.currentData() == "failing" and distribution.fields[0].text() == "0.85"
    gallery.kind.setCurrentIndex(gallery.kind.findData("new"))
    gallery.kind.activated.emit(2)
    assert list(gallery.model.images) == [last]
    window.until(lambda: not reviewing.busy)
    again = Review(review.run)
    assert again.limits.confidence[0] == 0.85 and again.state(first, str(project.path)) == "accepted"
    assert (out / FILE).is_file()

    QTest.keyClick(gallery.tiles, Qt.Key.Key_Home)
    QTest.keyClick(gallery.tiles, Qt.Key.Key_Return)
    window.until(lambda: session.name == "plate_00")
    window.settle()
    window.press(Qt.Key.Key_I)
    status = Project.open(project.path).annotation("plate_00").status
    assert status.marks.complete and status.waiting == 0 and status.objects > 0, "what is complete is accepted"
    assert not outlines.visible and outlines.data is dock.canvas.layers["Objects"].data, "nothing waits"
