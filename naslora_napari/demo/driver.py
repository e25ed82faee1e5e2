"""The steps of the loop, each done in the window and checked."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from naslora_trainer.errors import UserError
from naslora_trainer.images import read_labels
from naslora_trainer.prompts import Prediction, box_of, deepest_point, next_click
from naslora_trainer.scores import dice

from .hands import Hands
from .material import UNSEEN, WORKED_ON, Material
from .pictures import Frame, Tile
from .report import Step

#: Outlines of the tile worked on, by what a person does: the first click, a look at what is wrong and its correction,
#: a proposal that is discarded and becomes a box, and one that is accepted, taken back and accepted again.
EASY, CORRECTED, BOXED, TAKEN_BACK = 8, 10, 3, 6
LEFT_OPEN = (EASY, CORRECTED, BOXED, TAKEN_BACK)
CLICKS = 24
#: A person accepts an outline of this Dice; after so many corrections that did not lead there, they draw a box.
RIGHT, CORRECTIONS = 0.85, 2
#: Fewer pixels are a nucleus that the border of the tile cuts off, too small to look at.
WHOLE = 150
#: A nucleus whose Dice rose by so much shows what the training changed.
CLEAR_GAIN = 0.05
#: Half the side of a piece of the image in the overview, in its pixels.
REACH = 34.0
BY_CLICKS = "Clicks there say what belongs to it (left) and what does not (right), and the outline is right."
BY_A_BOX = "Here clicks on what is wrong were not enough; a box around the nucleus was."
TRAINING_S, BATCH_S = 3600.0, 3600.0


@dataclass(eq=False)
class Clicks:
    """Timed clicks on all objects of the unseen tile, in turn: milliseconds, and the newest answer for each object."""

    milliseconds: list[float] = field(default_factory=list)
    answers: dict[int, Prediction] = field(default_factory=dict)


class Loop:
    """Goes through the loop once.

    Parameters
    ----------
    hands : Hands
        At the window.
    material : Material
        What is worked on.
    out : Path
        Folder for the pictures.
    tell : callable
        Gets a sentence at every step.
    """

    def __init__(self, hands: Hands, material: Material, out: Path, tell: Callable[[str], None]) -> None:
        self.hands, self.material, self.out, self.tell = hands, material, out, tell
        self.dock = hands.dock
        self.steps: list[Step] = []
        self.tiles: list[Tile] = []
        self.clicks: dict[str, Clicks] = {}
        self.result: dict[str, Any] = {}
        self.swap_ms = self.swap_gap_ms = self.first_step_s = 0.0

    def open(self) -> None:
        """Open the project with the button and its dialog."""
        self.tell("Opening the project with the sample images…")
        self._until_ready(lambda: self.hands.choose_folder(self.dock.open_panel.project_button, self.material.project))
        self._picture("open", "Open", "A folder of images is open, and the outlines drawn so far are in colour.")

    def annotate(self) -> None:
        """Click, correct, accept, discard, draw a box, undo; what is accepted is looked up on the disk."""
        self.tell("Outlining nuclei with clicks and boxes…")
        answer = self._click_on(EASY)
        self._picture("click", "Click", "One click on a nucleus, and the model proposes its outline (yellow).")
        self._make_right(EASY, answer)
        self.hands.key(Qt.Key.Key_A)
        self._expect_objects(1, "Accepting an outline")
        self._picture("accept", "Accept", "The key A keeps it: it is an object now, and it is on the disk.")
        answer = self._click_on(CORRECTED)
        self._picture("look", "Look", _what_is_wrong(answer.mask, self.material.outlines == CORRECTED))
        self._tile_of(self.material.outlines, CORRECTED, "click")
        by_clicks = self._make_right(CORRECTED, answer)
        self._picture("correct", "Correct", BY_CLICKS if by_clicks else BY_A_BOX)
        self._tile_of(self.material.outlines, CORRECTED, "correct")
        self.hands.key(Qt.Key.Key_A)
        self._expect_objects(2, "Accepting the corrected outline")
        self._click_on(BOXED)
        self.hands.key(Qt.Key.Key_Escape)
        if self.hands.shown() is not None:
            raise UserError("Escape did not take the proposed outline away.", self.hands.complaint())
        self.hands.drag_box(box_of(self.material.outlines == BOXED))
        self._picture("box", "Box", "Escape discards a proposal that is not worth correcting; a box asks anew.")
        self.hands.press(self.dock.prompt_panel.accept_button)
        self._expect_objects(3, "Accepting the outline in the box")
        self._take_back()

    def show_unseen(self) -> None:
        """Go to the last image of the list, which has no outlines."""
        if self.dock.session is None or self.dock.project is None:
            raise UserError("No project is open in the window.")
        panel = self.dock.open_panel
        if not panel.list_button.isChecked():
            self.hands.press(panel.list_button)
        self._until_ready(lambda: QTest.keyClick(panel.list.view, Qt.Key.Key_End))
        entry = next(e for e in self.dock.project.images if e.name == self.dock.session.name)
        if entry.path.stem != UNSEEN:
            raise UserError(f"The list of images led to {entry.name}, not to the unseen one.")

    def time_clicks(self, when: str, go_on: Callable[[], bool] = lambda: True) -> None:
        """Click on the nuclei of the unseen tile in turn while ``go_on()``, each answer discarded again."""
        outlines = self.material.unseen_outlines
        ids = [int(i) for i in np.unique(outlines) if i]
        found = self.clicks[when] = Clicks()
        self.tell(f"Timing {CLICKS} clicks ({when})…")
        for k in range(CLICKS):
            if not go_on():
                break
            key = ids[k % len(ids)]
            found.answers[key], took = self.hands.timed_click(deepest_point(outlines == key))
            found.milliseconds.append(took.drawn)
            self.hands.key(Qt.Key.Key_Escape)
        if not found.milliseconds:
            raise UserError(f"No click could be timed ({when}).", self.hands.complaint())

    def train(self) -> None:
        """Press the button, go on clicking, wait for the checked result and for the swap."""
        self.tell("Fine-tuning on the outlines (minutes without a GPU)…")
        ended: list[dict[str, Any]] = []
        panel, training = self.dock.train_panel, self.dock.training
        self.dock.trained.connect(lambda event: ended.append({**event, "arrived": time.time()}))
        pressed = time.monotonic()
        self.hands.press(panel.start_button)
        self.hands.wait(lambda: bool(panel.curve.points["loss"]) or bool(ended), "the first training step", 600)
        self.first_step_s = time.monotonic() - pressed
        self.time_clicks("training", lambda: training.running and not ended)
        if self.hands.shown() is None and training.running:
            self._click_unseen(next(iter(self.clicks["idle"].answers)))
        half = panel.progress.maximum() * 0.7
        self.hands.wait(lambda: bool(ended) or panel.progress.value() >= half, "the training", TRAINING_S)
        if not ended:
            self._picture(
                "training",
                "Fine-tune",
                "One button: a process of its own trains on the outlines, its curve grows, clicking goes on meanwhile.",
            )
            self._tile(self.hands.frame_of(panel.curve), "fine-tune")
        self.hands.wait(lambda: bool(ended), "the end of the training", TRAINING_S)
        self._take_result(ended[0])

    def compare(self) -> None:
        """Look at one nucleus with the new model, the old one, and the new one again."""
        outlines = self.material.unseen_outlines
        before, after = self.clicks["idle"].answers, self.clicks["after"].answers
        scores = {
            key: (dice(before[key].mask, outlines == key), dice(after[key].mask, outlines == key))
            for key in after
            if (outlines == key).sum() >= WHOLE
        }
        gained = [key for key, (old, new) in scores.items() if new - old >= CLEAR_GAIN] or list(scores)
        key = max(gained, key=lambda k: scores[k][1])
        old, new = scores[key]
        self._click_unseen(key)
        self._picture(
            "swapped",
            "The new model answers",
            f"A click on an image it never saw; the Dice of this nucleus went from {old:.2f} to {new:.2f}. "
            f"{_gains(scores)}",
        )
        self._tile_of(outlines, key, "the same click, after")
        self._roll_back(before[key], "The earlier model did not answer as before.")
        self._picture(
            "back", "One click goes back", "The same click, answered by the earlier model exactly as it did before."
        )
        self._tile_of(outlines, key, "a click on an unseen image, before")
        self.tiles.append(self.tiles.pop(-2))  # before comes first
        self._roll_back(after[key], "The new model did not answer as before.")
        self.dock.editing.discard()

    def batch(self) -> int:
        """Segment the folder with the button and look at the result; return how many objects were found."""
        self.tell("Segmenting the folder of unseen images…")
        ended: list[dict[str, Any]] = []
        shown: list[bool] = []
        panel = self.dock.batch_panel
        self.dock.batchFinished.connect(ended.append)
        self.hands.choose_folder(panel.run_button, self.material.batch)
        self.hands.wait(lambda: bool(ended), "the end of the batch", BATCH_S)
        if ended[0].get("event") != "result" or ended[0].get("failed"):
            raise UserError("The folder could not be segmented.", self.hands.complaint())
        self.dock.batching.shown.connect(lambda: shown.append(True))
        self.hands.press(panel.open_button)
        self.hands.wait(lambda: bool(shown), "the result of the batch", 60)
        count = self._objects_in(self.dock.batching.out)
        self._picture(
            "batch",
            "A whole folder",
            f"The new model outlined {count} objects in {len(list(self.material.batch.iterdir()))} images, "
            "with a label image for each and one table of measurements.",
        )
        return count

    def _objects_in(self, out: Path | None) -> int:
        planes = [] if out is None else [read_labels(path) for path in sorted(out.glob("*.tif"))]
        if len(planes) != len(list(self.material.batch.iterdir())):
            raise UserError(f"There are {len(planes)} label images in {out}, not one for each image.")
        return sum(len(np.unique(plane)) - bool((plane == 0).any()) for plane in planes)

    def _take_result(self, event: dict[str, Any]) -> None:
        if event.get("event") == "error":
            raise UserError("The fine-tune ended with an error.", str(event.get("message", "")))
        if not event.get("swapped"):
            raise UserError("The fine-tune did not lead to a better model.", str(event.get("reason", "")))
        self.result = event
        self.swap_ms = 1000 * (event["arrived"] - event["time"])
        self.swap_gap_ms = 1000 * self.dock.predictor.swap_seconds
        self.dock.editing.discard()

    def _make_right(self, key: int, answer: Prediction) -> bool:
        """Correct a proposal until it is right; return whether clicks were enough, or a box was needed."""
        outline = self.material.outlines == key
        for _ in range(CORRECTIONS):
            correction = next_click(answer.mask, outline)
            if correction is None or dice(answer.mask, outline) >= RIGHT:
                return True
            answer = self.hands.click(correction[0], negative=correction[1] == 0)
            self.hands.rest()
        if dice(answer.mask, outline) >= RIGHT:
            return True
        self.hands.key(Qt.Key.Key_Escape)
        self.hands.drag_box(box_of(outline))
        return False

    def _take_back(self) -> None:
        self._make_right(TAKEN_BACK, self._click_on(TAKEN_BACK))
        self.hands.key(Qt.Key.Key_A)
        self._expect_objects(4, "Accepting an outline")
        self.hands.key(Qt.Key.Key_U)
        self._expect_objects(3, "Undo")
        self._picture("undo", "Undo", "The key U takes the last accept back: the object is a proposal again.")
        self.hands.key(Qt.Key.Key_A)
        self._expect_objects(4, "Accepting it again")

    def _roll_back(self, wanted: Prediction, complaint: str) -> None:
        """Press the button that goes back; the click that is still there must be answered exactly as ``wanted``."""
        self.hands.press(self.dock.train_panel.rollback_button)
        self.hands.wait(lambda: self._answered_by(wanted.version), "the change of the model", 120)
        shown = self.hands.shown()
        if shown is None or not np.array_equal(shown.mask, wanted.mask) or shown.score != wanted.score:
            raise UserError(complaint)

    def _answered_by(self, version: str) -> bool:
        shown = self.hands.shown()
        return shown is not None and shown.version == version

    def _click_on(self, key: int) -> Prediction:
        answer = self.hands.click(deepest_point(self.material.outlines == key))
        self.hands.rest()
        return answer

    def _click_unseen(self, key: int) -> Prediction:
        return self.hands.click(deepest_point(self.material.unseen_outlines == key))

    def _until_ready(self, act: Callable[[], object]) -> None:
        """Do something that opens an image; wait until the model has taken it in."""
        ready: list[str] = []
        note = ready.append
        self.dock.imageReady.connect(note)
        try:
            act()
            self.hands.wait(lambda: bool(ready), "the opening of an image")
        finally:
            self.dock.imageReady.disconnect(note)
        self.hands.rest()

    def _expect_objects(self, drawn: int, what: str) -> None:
        """Count objects on the disk that were made by prompts."""
        project = self.dock.project
        if project is None:
            raise UserError("No project is open in the window.")
        name = next(entry.name for entry in project.images if entry.path.stem == WORKED_ON)
        found = [info for info in project.annotation(name).objects.values() if info.source == "prompt"]
        if len(found) != drawn:
            raise UserError(f"{what} led to {len(found)} objects on the disk, not {drawn}.", self.hands.complaint())

    def _picture(self, name: str, title: str, caption: str) -> None:
        file = f"{len(self.steps) + 1:02d}-{name}.png"
        self.hands.screenshot(self.out / file)
        self.steps.append(Step(title, caption, file))
        self.hands.rest()

    def _tile(self, frame: Frame, caption: str) -> None:
        """Take a piece of the newest picture into the overview."""
        self.tiles.append(Tile(self.out / self.steps[-1].picture, frame, caption))

    def _tile_of(self, outlines: np.ndarray, key: int, caption: str) -> None:
        self._tile(self.hands.frame_around(deepest_point(outlines == key), REACH), caption)


def _what_is_wrong(mask: np.ndarray, outline: np.ndarray) -> str:
    """Say in a sentence where a proposal is most wrong."""
    correction = next_click(mask, outline)
    if correction is None:
        return "Here the outline is right at once."
    if correction[1] == 0:
        return "Here the outline goes too far: it takes in what is around the nucleus."
    return "Here the outline falls short: a part of the nucleus is missing."


def _gains(scores: dict[int, tuple[float, float]]) -> str:
    """Say in a sentence how the other nuclei of the tile fared."""
    risen = sum(new > old for old, new in scores.values())
    return f"It rose for {risen} of the tile's {len(scores)} larger nuclei."
