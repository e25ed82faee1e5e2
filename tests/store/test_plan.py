"""What a fine-tune would learn from is what it learns from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from naslora_napari.store import Project
from naslora_napari.store.plan import FIRST_GUESS, Pace, pace_of, plan_of, suggested_preset
from naslora_napari.store.records import ObjectInfo
from naslora_resources.registry import DEFAULT_MODEL
from naslora_resources.samples import sample_folder
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import some_background
from naslora_trainer.errors import UserError
from naslora_trainer.images import list_images
from naslora_trainer.prompts import Prompts
from naslora_trainer.splits import split_images


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.create(tmp_path / "p", list_images(sample_folder("labelled") / "images"), ("nucleus", "debris"))


def draw(project: Project, name: str, count: int, class_id: int = 1) -> None:
    for i in range(count):
        mask = np.zeros((128, 128), bool)
        mask[10 * i : 10 * i + 6, 5 + 60 * class_id - 60 : 25 + 60 * class_id - 60] = True
        project.add_object(name, mask, ObjectInfo(class_id, "brush"))


@pytest.mark.parametrize("images", [2, 5])
def test_a_plan_tells_what_a_training_does(project: Project, images: int) -> None:
    names = [image.name for image in project.images]
    for name in names[:images]:
        draw(project, name, 3)
    draw(project, names[0], 2, class_id=2)
    project.set_complete(names[0], True)
    plan = plan_of(project)
    split = split_images(project.snapshot(256))
    assert (plan.images, plan.objects, plan.held_out) == (images, 3 * images + 2, split.objects()["validation"])
    assert plan.by_image == (images >= 4)
    assert plan.classes == {"nucleus": 3 * images, "debris": 2}
    assert f"{len(names) - images} images have no objects yet" in plan.ignored[0]
    partly = "1 image" if images == 2 else f"{images - 1} images"
    assert f"in {partly} not marked complete" in plan.ignored[1]


def test_a_plan_says_that_no_background_is_known(project: Project) -> None:
    first, second = (image.name for image in project.images[:2])
    draw(project, first, 3)
    (text,) = (text for title, text in plan_of(project).rows if title == "Background")
    assert "No labelled image is marked as complete" in text and text.endswith("in which all objects are labelled.")
    project.set_complete(second, True)  # where nothing is labelled nothing is learned
    assert not plan_of(project).background
    project.mark(first, rois=[(0, 0, 50, 50)])
    assert plan_of(project).background and "Background" not in dict(plan_of(project).rows)


@pytest.mark.parametrize("clicks", [1, 8])
def test_a_plan_and_the_training_agree_on_clicked_background(project: Project, clicks: int) -> None:
    """A few clicks are as much as small objects."""
    name = project.images[0].name
    for i in range(2):
        mask = np.zeros((128, 128), bool)
        mask[4 + 10 * i : 8 + 10 * i, 4:8] = True
        beside = Prompts(points=((5, 5), *((60 + 6 * k, 60) for k in range(clicks))), labels=(1, *[0] * clicks))
        project.add_object(name, mask, ObjectInfo(1, "prompt", prompts=beside))
    assert plan_of(project).background == some_background(project.snapshot(256)) == (clicks == 8)


def test_too_little_is_said(project: Project) -> None:
    draw(project, project.images[0].name, 1)
    with pytest.raises(UserError, match="only 1"):
        plan_of(project)


def test_the_time_is_that_of_the_last_training(project: Project) -> None:
    draw(project, project.images[0].name, 3)
    assert pace_of(project) == FIRST_GUESS
    run = project.new_run(FineTuneConfig(steps=9))
    for strange in ("[]", '{"train_s": "x", "steps": 3}', '{"train_s": 1e999, "busy_s": 1, "steps": 3}', "{"):
        (run / "report.json").write_text(strange)
        assert pace_of(project) == FIRST_GUESS
    report = {"train_s": 28.0, "busy_s": 18.0, "steps": 9, "config": {"base": DEFAULT_MODEL}}
    (run / "report.json").write_text(json.dumps(report))
    assert pace_of(project) == Pace(10, 2)
    assert pace_of(project, "sam_vit_b") == Pace(10 * FIRST_GUESS.around_s, 10 * FIRST_GUESS.step_s)
    assert pace_of(project).seconds(10) == 30


def test_the_preset_fits_the_machine_and_the_labels() -> None:
    assert {suggested_preset("cpu", count) for count in (2, 50, 5000)} == {"quick"}
    assert [suggested_preset("cuda:0", count) for count in (2, 50, 5000)] == ["quick", "standard", "thorough"]
