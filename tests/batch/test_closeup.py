"""Objects seen close up are outlined as with all of the image in sight."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from naslora_napari.batch import closeup
from naslora_napari.batch.closeup import outlines
from naslora_napari.demo.measure import sample_images
from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.base import load_base
from naslora_trainer.data import boxes_in
from naslora_trainer.evaluate import decode_all
from naslora_trainer.prompts import Prompts


@pytest.fixture(scope="module")
def sam() -> Sam:
    return load_base(DEFAULT_MODEL)


@pytest.fixture(scope="module")
def predictor(sam: Sam) -> SamPredictor:
    found = SamPredictor(sam)
    found.set_image(sample_images("labelled")[0].image)
    return found


def prompts() -> list[Prompts]:
    boxes = boxes_in(sample_images("labelled")[0].labels)
    return [Prompts(box=tuple(float(edge) for edge in box)) for box in boxes.values()]


def masks_of(predictor: SamPredictor, some: list[Prompts]) -> dict[int, np.ndarray]:
    return {number: logits.numpy() > 0 for number, logits, _ in outlines(predictor, some, torch.float32)}


@torch.no_grad()
def test_close_up_is_nearly_what_all_of_the_image_says(predictor: SamPredictor) -> None:
    found = masks_of(predictor, prompts())
    whole = decode_all(predictor, prompts(), ("box",))[0][:, 0].numpy() > 0
    assert sorted(found) == list(range(len(whole)))
    ious = [(found[i] & mask).sum() / max(1, (found[i] | mask).sum()) for i, mask in enumerate(whole)]
    assert np.median(ious) > 0.9


@torch.no_grad()
def test_a_mask_that_its_window_cuts_is_asked_for_again(
    predictor: SamPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closeup, "LONGER", 0.3)
    monkeypatch.setattr(closeup, "LEAST", 2)
    found = masks_of(predictor, prompts())
    whole = decode_all(predictor, prompts(), ("box",))[0][:, 0].numpy() > 0
    same = [np.mean(found[i] != mask) < 1e-3 for i, mask in enumerate(whole)]
    assert sorted(found) == list(range(len(whole))) and np.mean(same) > 0.5


def test_no_object_is_no_question(predictor: SamPredictor) -> None:
    assert masks_of(predictor, []) == {}


def test_groups_hold_each_once_and_no_more_than_fits() -> None:
    sizes = np.random.default_rng(0).integers(2, 65, (50, 2))
    groups = list(closeup._groups(sizes, 8192))
    assert sorted(sum(groups, [])) == list(range(50))
    assert all(len(group) * sizes[group].max(axis=0).prod() <= 8192 for group in groups)
