"""The tutorial with nuclei, at the real window."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from acts import RIGHT, TRAINING_S, by_clicks, correct, segment
from album import Album, in_file_dialog, open_dialog, opens_image
from naslora_napari._qt import driving
from naslora_napari._qt.canvas import IMAGE
from naslora_napari._qt.report_dialog import ReportDialog
from naslora_napari._qt.train_panel import BACK, FORTH
from naslora_napari.demo.hands import Hands, pause
from naslora_napari.demo.pictures import Tile, overview
from naslora_napari.store.sample import NEW_IMAGES, TO_LABEL
from naslora_resources.samples import sample_folder
from naslora_trainer.errors import UserError
from naslora_trainer.images import read_labels
from naslora_trainer.prompts import Prediction, box_of, deepest_point
from naslora_trainer.scores import dice

FIRST, SECOND = TO_LABEL
#: Fewer pixels are a nucleus that the border of the tile cuts off.
WHOLE = 200


def nuclei(album: Album) -> None:
    """Work through the tutorial with nuclei, in its order."""
    hands, dock = album.hands, album.dock
    outlines = read_labels(sample_folder("labelled") / "masks" / f"{FIRST}.png")
    hands.wait(lambda: not dock.busy and "loading" not in dock.status.model.text(), "the model")
    pause(500)
    album.panels("dock-empty", dock.status, dock.open_panel, dock.prompt_panel)
    place = album.work / "NAS-LoRA sample"
    opens_image(hands, lambda: in_file_dialog(place, lambda: hands.press(dock.open_panel.sample_button)))
    for key in (Qt.Key.Key_PageDown, Qt.Key.Key_PageDown, Qt.Key.Key_PageUp, Qt.Key.Key_PageUp):
        opens_image(hands, partial(driving.press, album.viewer, key))
    album.window("sample-open")
    if not dock.open_panel.list_button.isChecked():
        hands.press(dock.open_panel.list_button)
    hands.rest()
    hands.wait(lambda: "objects" in dock.open_panel.summary.text(), "the count of objects")
    pause(2000)  # for the small pictures
    album.panels("image-list", dock.open_panel)
    hands.press(dock.open_panel.list_button)  # room for the panels below
    tiles = _annotate(album, outlines)
    _around(album)
    tiles += _train(album)
    segment(album, place / NEW_IMAGES, taken=True)
    _review(album)
    _overview(album, tiles)


def _annotate(album: Album, outlines: np.ndarray) -> list[Tile]:
    hands, dock, work = album.hands, album.dock, album.work
    all_keys = [int(i) for i in np.unique(outlines) if i]
    keys = [key for key in all_keys if (outlines == key).sum() >= WHOLE]
    gains = {key: _gain(hands, outlines == key) for key in keys}
    corrected = max(keys, key=lambda key: gains[key])
    boxed = min(keys, key=lambda key: gains[key])
    outline = outlines == corrected
    answer = hands.click(deepest_point(outline))
    album.image("click")
    tiles = [Tile(*album.piece(work / "click.png", deepest_point(outline)), "click")]
    correct(hands, answer, outline)
    album.image("correct")
    tiles.append(Tile(*album.piece(work / "correct.png", deepest_point(outline)), "correct"))
    hands.key(Qt.Key.Key_A)
    pause(300)
    album.image("accepted")
    _back_and_forth(hands, deepest_point(outline))
    hands.press(dock.prompt_panel.mode_buttons["box"])
    hands.drag_box(box_of(outlines == boxed))
    album.image("box")
    hands.press(dock.prompt_panel.accept_button)
    for key in all_keys:
        if key in (corrected, boxed):
            continue
        if key in keys:
            correct(hands, hands.click(deepest_point(outlines == key)), outlines == key)
        else:
            hands.drag_box(box_of(outlines == key))
        hands.key(Qt.Key.Key_A)
    _paint(hands, box_of(outline))
    album.window("brush")
    hands.press(dock.prompt_panel.mode_buttons["click"])
    hands.press(dock.open_panel.complete_button)
    project = dock.project
    assert project is not None
    hands.wait(lambda: project.status(FIRST).marks.complete, "the image to count as complete", 10)
    return tiles


def _back_and_forth(hands: Hands, place: tuple[float, float]) -> None:
    """Take back an accepted object and do it again; delete it, and take that back."""
    panel, count = hands.dock.prompt_panel, _objects(hands)
    steps: list[tuple[Callable[[], None], int]] = [
        (partial(hands.press, panel.undo_button), count - 1),
        (partial(hands.press, panel.redo_button), count),
        (partial(_at, hands, place, Qt.Key.Key_X), count - 1),
        (partial(hands.press, panel.undo_button), count),
    ]
    for act, left in steps:
        act()
        _come_to(hands, left)


def _come_to(hands: Hands, objects: int) -> None:
    hands.wait(lambda: _objects(hands) == objects, f"{objects} objects", 10)


def _paint(hands: Hands, box: tuple[float, float, float, float]) -> None:
    """Paint over the edge of an object, erase there, and take both back; the brush stays chosen."""
    panel, layer = hands.dock.prompt_panel, hands.dock.canvas.layers[IMAGE]
    row, col = (box[0] + box[2]) / 2, box[3]
    hands.press(panel.mode_buttons["brush"])
    for key in (Qt.Key.Key_P, Qt.Key.Key_E):
        hands.key(key)
        driving.drag(hands.viewer, layer, (row, col - 3), (row, col + 2))
        pause(300)
    for _ in range(2):
        hands.press(panel.undo_button)
    hands.key(Qt.Key.Key_P)
    pause(300)


def _at(hands: Hands, place: tuple[float, float], key: Qt.Key) -> None:
    driving.rest(hands.viewer, hands.dock.canvas.layers[IMAGE], place)
    pause(100)
    hands.key(key)


def _objects(hands: Hands) -> int:
    return 0 if hands.dock.session is None else len(hands.dock.session.objects)


def _train(album: Album) -> list[Tile]:
    hands, dock, panel = album.hands, album.dock, album.dock.train_panel
    unseen = read_labels(sample_folder("labelled") / "masks" / f"{SECOND}.png")
    opens_image(hands, lambda: driving.press(album.viewer, Qt.Key.Key_PageDown))
    hands.press(panel.more_button)
    hands.press(panel.plan_button)
    hands.wait(lambda: open_dialog("What the fine-tune learns from") is not None, "the plan")
    plan = open_dialog("What the fine-tune learns from")
    assert plan is not None
    album.widget("plan", plan)
    plan.reject()
    hands.press(panel.more_button)
    whole = {int(key): unseen == key for key in np.unique(unseen) if key and (unseen == key).sum() >= WHOLE}
    worse = {key: dice(_asked(hands, outline).mask, outline) for key, outline in whole.items()}
    before = {key: _shot(album, f"before-{key}", deepest_point(outline)) for key, outline in whole.items()}
    ended: list[dict[str, Any]] = []
    dock.trained.connect(ended.append)
    hands.press(panel.start_button)
    hands.wait(lambda: bool(ended) or panel.progress.value() >= 0.6 * panel.progress.maximum() > 9, "it", TRAINING_S)
    album.panels("training", panel)
    album.seen().save(album.work / "training.png")
    fine_tune = Tile(album.work / "training.png", hands.frame_of(panel.curve), "fine-tune")
    hands.wait(lambda: bool(ended), "the end of the training", TRAINING_S)
    if not ended[0].get("swapped"):
        raise UserError(f"The training did not lead to a better model: {ended[0]}.")
    hands.wait(lambda: not dock.busy, "the answer of the new model")
    assert dock.project is not None
    album.keep("search", next((dock.project.path / "runs").glob("*/architecture.png")))
    better = {key: dice(_asked(hands, outline).mask, outline) for key, outline in whole.items()}
    gained = max(whole, key=lambda key: better[key] - worse[key])
    after = _shot(album, "after", deepest_point(whole[gained]))
    _shot(album, "trained", deepest_point(whole[max(whole, key=lambda key: better[key])]), "trained")
    hands.press(panel.compare_button)
    comparison = open_dialog("")
    assert comparison is not None
    album.widget("comparison", comparison)
    comparison.reject()
    _models(album)
    dock.editing.discard()
    return [fine_tune, Tile(*before[gained], "an unseen image, before"), Tile(*after, "after")]


def _models(album: Album) -> None:
    """Go back to the model before and forth again; look at the models of the project and at the base models."""
    hands, dock, panel = album.hands, album.dock, album.dock.train_panel
    for text in (BACK, FORTH):
        if not panel.rollback_button.text().startswith(text):
            raise UserError(f"The button is “{panel.rollback_button.text()}” in place of “{text}”.")
        hands.press(panel.rollback_button)
        hands.wait(lambda: not dock.busy, "the other model")
        pause(500)
    hands.press(panel.models_button)
    hands.wait(lambda: dock.library.dialog.table.rowCount() > 1, "the list of models")
    album.widget("models", dock.library.dialog)
    hands.press(dock.library.dialog.base_button)
    bases = open_dialog("Base model")
    assert bases is not None
    album.widget("base-models", bases)
    bases.close()
    dock.library.dialog.close()


def _asked(hands: Hands, outline: np.ndarray) -> Prediction:
    """Click on an object where nothing else is asked."""
    hands.key(Qt.Key.Key_Escape)
    return hands.click(deepest_point(outline))


def _shot(
    album: Album, file: str, place: tuple[float, float], name: str = ""
) -> tuple[Path, tuple[int, int, int, int]]:
    """Click on a place, and keep what is around it; with a ``name`` the window is a picture, too."""
    album.hands.key(Qt.Key.Key_Escape)
    album.hands.click(place)
    pause(500)
    if name:
        album.window(name)
    return album.piece(album.work / f"{file}.png", place)


def _review(album: Album) -> None:
    """Look at the most doubtful image of the run, delete the smallest thing that was found, accept, and go on."""
    hands, dock = album.hands, album.dock
    hands.press(dock.batch_panel.review_button)
    hands.wait(lambda: dock.reviewing.gallery is not None, "the gallery")
    gallery = dock.reviewing.gallery
    assert gallery is not None
    hands.wait(lambda: gallery.tiles.isVisible() and len(gallery.model.images) == 8, "the images in the gallery")
    pause(3000)  # for the small pictures
    tile = gallery.tiles.visualRect(gallery.model.index_of(gallery.model.images[0])).center()
    viewport = gallery.tiles.viewport()
    opens_image(hands, lambda: QTest.mouseClick(viewport, Qt.MouseButton.LeftButton, pos=tile))
    album.window("gallery")
    session, count = dock.session, _objects(hands)
    assert session is not None and count
    smallest = min(session.objects, key=lambda number: int((session.labels == number).sum()))
    _at(hands, deepest_point(session.labels == smallest), Qt.Key.Key_X)
    _come_to(hands, count - 1)
    opens_image(hands, lambda: hands.press(dock.reviewing.button))
    pause(500)


def _around(album: Album) -> None:
    hands, dock = album.hands, album.dock
    album.viewer.theme = "light"
    pause(500)
    album.window("light")
    album.viewer.theme = "dark"
    pause(500)
    dock.open_panel.report_asked.emit()
    dialog = open_dialog("Report")
    assert isinstance(dialog, ReportDialog)
    hands.wait(dialog.copy_button.isEnabled, "the report")
    album.widget("report", dialog)
    dialog.close()


def _overview(album: Album, tiles: list[Tile]) -> None:
    overview(album.work / "loop.png", tiles)
    album.keep("loop", album.work / "loop.png")


def _gain(hands: Hands, outline: np.ndarray) -> float:
    """Try how much better clicks make the first answer; below 0 where they do not lead to what is right."""
    answer = hands.click(deepest_point(outline))
    before, after = dice(answer.mask, outline), dice(by_clicks(hands, answer, outline).mask, outline)
    hands.key(Qt.Key.Key_Escape)
    return after - before if after > RIGHT else after - 1
