"""The tutorial with leaf lesions, at the real window."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import numpy as np
from qtpy.QtCore import Qt

from acts import TRAINING_S, correct, segment
from album import Album, on_screen, open_dialog, opens_image, type_in
from leaves import draw_leaves
from naslora_napari._qt import driving
from naslora_napari._qt.canvas import IMAGE
from naslora_napari.demo.hands import Hands, pause
from naslora_trainer.prompts import box_of, deepest_point

#: Seed of the first leaf: its lesions leave room for the border of an area.
LEAVES = 7
#: So many leaves are labelled, and so many others segmented.
TO_LABEL_LEAVES, NEW_LEAVES = 4, 3


def leaves(album: Album) -> None:
    """Work through the tutorial with leaves, in its order."""
    hands, dock, viewer = album.hands, album.dock, album.viewer
    folder, new = album.work / "leaves", album.work / "new leaves"
    drawn = draw_leaves(folder, TO_LABEL_LEAVES + 1, LEAVES)
    draw_leaves(new, NEW_LEAVES, LEAVES + len(drawn))
    opens_image(hands, lambda: hands.choose_folder(dock.open_panel.folder_button, folder))
    album.window("leaves-open")
    for name in ("blight", "rust"):
        type_in(name, lambda: dock.prompt_panel.class_box.activated.emit(dock.prompt_panel.class_box.count() - 1))
    dock.prompt_panel.class_box.showPopup()
    pause(300)
    album.save("leaves-class", on_screen(dock.prompt_panel))
    dock.prompt_panel.class_box.hidePopup()
    lesions = drawn[0]
    count, border = _gap(lesions)
    _lesions(hands, lesions, range(1, count))
    correct(hands, hands.click(deepest_point(lesions == count)), lesions == count)
    album.window("leaves-click")
    hands.key(Qt.Key.Key_A)
    hands.press(dock.open_panel.area_button)
    row0, col0, row1, _ = box_of((lesions > 0) & (lesions <= count))
    driving.drag(viewer, dock.canvas.layers[IMAGE], (row0 - 20, col0 - 20), (row1 + 20, border))
    hands.press(dock.prompt_panel.mode_buttons["click"])  # it is not selected any more
    pause(500)
    album.window("leaves-area")
    for lesions in drawn[1:TO_LABEL_LEAVES]:
        opens_image(hands, partial(driving.press, viewer, Qt.Key.Key_PageDown))
        _lesions(hands, lesions, range(1, int(lesions.max()) + 1))
        hands.press(dock.open_panel.complete_button)
    ended: list[dict[str, Any]] = []
    dock.trained.connect(ended.append)
    hands.press(dock.train_panel.start_button)
    hands.wait(lambda: bool(ended), "the end of the training", TRAINING_S)
    print(f"leaves: {dock.train_panel.stage.text()}", file=sys.stderr)
    hands.press(dock.train_panel.compare_button)
    comparison = open_dialog("")
    assert comparison is not None
    comparison.reject()
    segment(album, new, taken=False)


def _lesions(hands: Hands, lesions: np.ndarray, keys: range) -> None:
    """Label some lesions."""
    for key in keys:
        correct(hands, hands.click(deepest_point(lesions == key)), lesions == key)
        hands.key(Qt.Key.Key_T)
        hands.key(Qt.Key.Key_A)


def _gap(lesions: np.ndarray) -> tuple[int, float]:
    """Return how many lesions are left of the widest gap between columns, about in the middle, and where that is."""
    boxes = [box_of(lesions == key) for key in range(1, int(lesions.max()) + 1)]
    gaps = {}
    for count in range(4, len(boxes) - 2):
        right, left = max(box[3] for box in boxes[:count]), min(box[1] for box in boxes[count:])
        gaps[count] = (left - right, (left + right) / 2)
    count = max(gaps, key=lambda found: gaps[found][0])
    return count, gaps[count][1]
