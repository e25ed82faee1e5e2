"""Config, splits, stages, frames and loss: what the loop is built of."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage, objects_of, some_background
from naslora_trainer.errors import UserError
from naslora_trainer.frames import PADDING, frame_of, input_of, turned
from naslora_trainer.loss import mask_losses, prompted_loss
from naslora_trainer.splits import split_images
from naslora_trainer.stages import Schedule


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rank", 0),
        ("steps", 2),
        ("method", "magic"),
        ("box_share", 1.5),
        ("colour", 1),
        ("seed", -1),
        ("lora_alpha", float("nan")),
        ("cell_lr", float("inf")),
        ("precision", "int8"),
        ("images_per_step", 65),
        ("temperature", 0),
        ("targets", ()),
        ("blocks", "many"),
    ],  # fmt: skip
)
def test_a_setting_outside_its_range_is_named(field: str, value: object) -> None:
    with pytest.raises(UserError, match=f"'{field}'"):
        FineTuneConfig.checked(**{field: value})


def test_every_setting_is_explained() -> None:
    """With its name, and in range by default."""
    for name in FineTuneConfig.model_fields:
        assert re.search(rf"^    (?:\w+, )*{name}(?:, \w+)* : ", FineTuneConfig.__doc__ or "", re.MULTILINE), name
    FineTuneConfig.checked(**FineTuneConfig().model_dump())


def test_the_preset_sets_the_steps_unless_they_are_given() -> None:
    assert FineTuneConfig(preset="standard").steps > FineTuneConfig().steps
    assert FineTuneConfig(preset="standard", steps=7).steps == 7
    config = FineTuneConfig(preset="thorough")
    assert FineTuneConfig.model_validate_json(config.model_dump_json()) == config


def test_images_are_split_apart_and_stay_where_they_are(nuclei: list[TrainingImage]) -> None:
    images = [replace(nuclei[i % 4], name=f"image{i}") for i in range(8)]
    split = split_images(images)
    names = [{image.name for image in part} for part in (split.train, split.validation)]
    assert [len(n) for n in names] == [6, 2] and len(set.union(*names)) == 8
    turned = split_images(images[::-1])
    assert (turned.train, turned.validation) == (split.train, split.validation)


def test_few_images_are_split_by_object(nuclei: list[TrainingImage]) -> None:
    split = split_images(nuclei[:2])
    found = [{(image.name, i) for image in part for i in objects_of(image)} for part in (split.train, split.validation)]
    assert found[0] and found[1] and not found[0] & found[1]
    assert not any(image.complete for image in split.validation if len(objects_of(image)) < 2)


def test_what_is_no_object_is_still_known_where_objects_were_held_out() -> None:
    labels = np.zeros((40, 40), np.int32)
    labels[2::10, 2::10] = np.arange(1, 17).reshape(4, 4)
    marks: list[dict] = [{"complete": True}, {"rois": ((0, 0, 20, 40),)}, {}]
    images = [
        TrainingImage(f"image{i}", np.zeros((40, 40, 3), np.uint8), labels, **said) for i, said in enumerate(marks)
    ]
    split = split_images(images)
    for image, whole in zip(split.train, images, strict=True):
        held_out = (labels > 0) & (image.labels == 0)
        empty = image.known if image.nothing is None else image.known | image.nothing
        assert held_out.any() and not image.complete and not (empty & held_out).any()
        assert ((empty & (labels == 0)) == (whole.known & (labels == 0))).all()
    assert [some_background([image]) for image in split.train] == [True, True, False]
    assert not some_background(split.validation)


def test_parts_of_one_source_stay_together(nuclei: list[TrainingImage]) -> None:
    images = [replace(nuclei[i % 4], name=f"part{i}", source=f"image{i // 3}") for i in range(12)]
    split = split_images(images)
    sources = [{image.source for image in part} for part in (split.train, split.validation)]
    assert [len(s) for s in sources] == [3, 1] and not sources[0] & sources[1]
    halves = split_images(images[:6])  # of two sources: by object, which has the same number in each part
    found = [{(i.source, key) for i in part for key in objects_of(i)} for part in (halves.train, halves.validation)]
    assert found[0] and found[1] and not found[0] & found[1]


def test_too_little_to_train_on_is_said(nuclei: list[TrainingImage]) -> None:
    nothing = replace(nuclei[0], labels=np.zeros_like(nuclei[0].labels))
    with pytest.raises(UserError, match="no labelled objects"):
        split_images([nothing])
    one = replace(nuclei[0], labels=(nuclei[0].labels == objects_of(nuclei[0])[0]).astype(np.int32))
    with pytest.raises(UserError, match="only 1 labelled object"):
        split_images([one, nothing])


def test_stages_follow_their_shares() -> None:
    schedule = Schedule.of(FineTuneConfig(steps=100))
    stages = [schedule.stage(i) for i in range(100)]
    assert [stages.count(name) for name in ("warm-up", "search", "settle", "consolidate")] == [20, 40, 30, 10]
    alpha = [i for i in range(100) if schedule.trains_alpha(i)]
    assert len(alpha) == 13 and {stages[i] for i in alpha} == {"search"}
    assert max(schedule.learning_rate(i) for i in range(100)) == 1.0
    assert "search" not in {Schedule.of(FineTuneConfig(steps=50, method="lora")).stage(i) for i in range(50)}


def test_the_eight_turns_are_different_and_complete() -> None:
    array = np.arange(6).reshape(2, 3)
    seen = {turned(array, turn).tobytes() + bytes(turned(array, turn).shape) for turn in range(8)}
    assert len(seen) == 8


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 90), st.integers(3, 90), st.integers(0, 7))
def test_a_frame_shows_every_object_where_it_is(height: int, width: int, turn: int) -> None:
    labels = np.zeros((height, width), np.int32)
    labels[: height // 2 + 1, : width // 2 + 1] = 7
    image = TrainingImage("a", np.zeros((height, width, 3), np.uint8), labels, True)
    frame = frame_of(image, turn, 256)
    inside = frame.labels != PADDING
    assert inside.any() and set(np.unique(frame.labels[inside])) <= {0, 7} and 7 in frame.objects
    share = (frame.labels == 7).sum() / inside.sum()
    assert share == pytest.approx((labels == 7).mean(), abs=0.05)


def test_the_input_is_the_predictors_own(base_sam: Sam, nuclei: list[TrainingImage]) -> None:
    predictor = SamPredictor(base_sam)
    wide = replace(nuclei[0], image=nuclei[0].image[:40].copy(), labels=nuclei[0].labels[:40].copy())
    predictor.set_image(wide.image)
    with torch.no_grad():
        assert torch.equal(base_sam.image_encoder(input_of(base_sam, wide, 0)), predictor.features)


def test_a_perfect_answer_has_no_loss_and_ignored_pixels_do_not_count() -> None:
    target = torch.zeros(1, 1, 8, 8)
    target[..., :4] = 1
    perfect = (target * 2 - 1) * 50
    trusted = torch.ones_like(target)
    assert mask_losses(perfect, target, trusted).item() < 1e-4
    trusted[..., 6:] = 0
    wrong_there = perfect.clone()
    wrong_there[..., 6:] = 50
    assert torch.equal(mask_losses(wrong_there, target, trusted), mask_losses(perfect, target, trusted))


def test_of_several_answers_only_the_best_is_pulled() -> None:
    target, trusted = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    logits = torch.tensor([0.0, -1.0, 2.0, -3.0]).view(1, 4, 1, 1).repeat(1, 1, 4, 4).requires_grad_(True)
    prompted_loss(logits, torch.zeros(1, 4), target, trusted, torch.tensor([True])).backward()
    pulled = logits.grad.abs().sum((0, 2, 3))
    assert (pulled > 0).tolist() == [False, False, True, False]
