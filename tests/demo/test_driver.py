"""The demo's steps up to the fine-tune, in a real window with the real model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from napari import Viewer
from PIL import Image

from naslora_napari._qt.dock import NasLoraDock
from naslora_napari.demo.driver import LEFT_OPEN, Loop
from naslora_napari.demo.hands import Hands
from naslora_napari.demo.material import WORKED_ON, prepare
from naslora_napari.store import Project
from naslora_trainer.errors import UserError
from naslora_trainer.scores import dice


@pytest.fixture
def loop(make_napari_viewer: Callable[..., Viewer], tmp_path: Path) -> Iterator[Loop]:
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 800)
    dock = NasLoraDock(viewer)
    viewer.window.add_dock_widget(dock)
    yield Loop(Hands(viewer, dock), prepare(tmp_path, LEFT_OPEN), tmp_path, lambda sentence: None)
    dock.close_down()


def test_the_loop_up_to_the_fine_tune(loop: Loop, monkeypatch: pytest.MonkeyPatch, qapp: object) -> None:
    from qtpy.QtCore import QCoreApplication, Qt

    QCoreApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)
    loop.open()
    loop.annotate()
    project = Project.open(loop.material.project)
    annotation = project.annotation(WORKED_ON)
    made = [annotation.labels == key for key, info in annotation.objects.items() if info.source == "prompt"]
    targets = [loop.material.outlines == key for key in LEFT_OPEN]
    assert len(made) == 4 and project.summary().objects == 82
    assert all(max(dice(mask, target) for mask in made) > 0.8 for target in targets)
    pictures = [loop.out / step.picture for step in loop.steps]
    sizes = [Image.open(path).size for path in pictures]
    assert len(set(pictures)) == 7 and all(width > 1000 and height > 600 for width, height in sizes)
    loop.show_unseen()
    monkeypatch.setattr("naslora_napari.demo.driver.CLICKS", 2)
    loop.time_clicks("idle")
    clicks = loop.clicks["idle"]
    assert len(clicks.milliseconds) == len(clicks.answers) == 2 and all(np.array(clicks.milliseconds) > 0)
    assert loop.hands.shown() is None  # each answer was discarded


def test_what_never_happens_is_told_in_a_sentence(loop: Loop) -> None:
    with pytest.raises(UserError, match="in vain for the moon"):
        loop.hands.wait(lambda: False, "the moon", timeout_s=0.05)
