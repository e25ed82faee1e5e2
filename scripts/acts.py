"""What the tutorials have in common: label an object, segment a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt

from album import Album
from naslora_napari.demo.hands import Hands, pause
from naslora_trainer.prompts import Prediction, box_of, next_click
from naslora_trainer.scores import dice

#: A mask of this Dice is not corrected any more; after so many clicks one that is below RIGHT is given up for a box.
GOOD, RIGHT, CORRECTIONS = 0.92, 0.84, 3
TRAINING_S = 3600.0


def correct(hands: Hands, answer: Prediction, outline: np.ndarray) -> Prediction:
    """Correct a proposal with clicks until it is right; where three do not lead there, draw a box and correct that."""
    answer = by_clicks(hands, answer, outline)
    if dice(answer.mask, outline) < RIGHT:
        hands.key(Qt.Key.Key_Escape)
        answer = by_clicks(hands, hands.drag_box(box_of(outline)), outline)
    return answer


def by_clicks(hands: Hands, answer: Prediction, outline: np.ndarray) -> Prediction:
    """Correct a proposal where it is most wrong, again and again, until it is right or that was done often enough."""
    for _ in range(CORRECTIONS):
        correction = next_click(answer.mask, outline)
        if correction is None or dice(answer.mask, outline) > GOOD:
            break
        answer = hands.click(correction[0], negative=correction[1] == 0)
        hands.rest()
    return answer


def segment(album: Album, folder: Path, taken: bool) -> None:
    """Segment a folder, and look at the result; pictures are taken of it or not."""
    hands, dock, panel = album.hands, album.dock, album.dock.batch_panel
    ended: list[dict[str, Any]] = []
    shown: list[bool] = []
    dock.batchFinished.connect(ended.append)
    hands.choose_folder(panel.run_button, folder)
    hands.wait(lambda: bool(ended), "the end of the batch", TRAINING_S)
    if taken:
        album.panels("batch", panel)
    dock.batching.shown.connect(lambda: shown.append(True))
    hands.press(panel.open_button)
    hands.wait(lambda: bool(shown), "the result")
    pause(500)
    if taken:
        album.window("result")
