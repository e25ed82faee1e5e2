from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslora_napari.live import history as module
from naslora_napari.live.history import History
from naslora_napari.store import edits
from naslora_napari.store.records import Annotation, ObjectInfo
from naslora_napari.store.steps import Step, StepFiles
from naslora_trainer.prompts import Prompts

IMAGES = [str(i) for i in range(10)]


def step(image: str, pixels: int = 10_000) -> Step:
    empty = Annotation(np.zeros((1, pixels), np.int32))
    edit = edits.painted(empty, image, np.ones((1, pixels), np.int32), ObjectInfo())
    return Step(image, (Prompts(), Prompts()), edit)


def walked(history: History) -> str:
    """Take back every step and return the images they were made on."""
    images = ""
    while (newest := history.to_undo) is not None:
        images += newest.image
        history.undone()
    return images


def test_the_oldest_steps_are_forgotten_when_memory_is_full() -> None:
    steps = [step(str(i)) for i in range(5)]
    history = History(limit=3 * (steps[0].edit.nbytes + 1024))
    for one in steps:
        history.add(one)
    assert walked(history) == "432"
    assert history.to_undo is None and history.to_redo is steps[2]
    history.add(steps[0])
    assert history.to_redo is None and history.to_undo is steps[0]


@given(st.lists(st.integers(-2, 9), max_size=40))
def test_a_history_is_the_same_after_a_restart(tmp_path_factory: pytest.TempPathFactory, actions: list[int]) -> None:
    folder = tmp_path_factory.mktemp("history")
    history = History(StepFiles(folder, IMAGES))
    for action in actions:
        if action >= 0:
            history.add(step(str(action), 20))
        elif action == -1 and history.to_undo:
            history.undone()
        elif action == -2 and history.to_redo:
            history.redone()
    again = History(StepFiles(folder, IMAGES))
    for one, two in ((history.to_undo, again.to_undo), (history.to_redo, again.to_redo)):
        assert (one and one.image) == (two and two.image)
    while again.to_redo:
        again.redone()
        history.redone()
    assert walked(again) == walked(history)


def test_the_disk_holds_the_newest_steps_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_STEPS", 4)
    history = History(StepFiles(tmp_path, IMAGES))
    for image in IMAGES:
        history.add(step(image, 20))
    assert walked(History(StepFiles(tmp_path, IMAGES))) == "9876"
    assert len(list(tmp_path.iterdir())) == 4


def test_a_damaged_step_is_skipped(tmp_path: Path) -> None:
    history = History(StepFiles(tmp_path, IMAGES))
    for image in "012":
        history.add(step(image, 20))
    sorted(tmp_path.iterdir())[1].write_bytes(b"no step")
    assert walked(History(StepFiles(tmp_path, IMAGES))) == "20"
