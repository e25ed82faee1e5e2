"""Prompts of training: of all kinds, the same for the same seed, all in one pass of the mask decoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from segment_anything.modeling import Sam

from naslora_trainer.config import FineTuneConfig
from naslora_trainer.frames import Frame
from naslora_trainer.prompts import random_scribble
from naslora_trainer.simulate import MOST_CORRECTIONS, PromptBatch, dense_prompt, plan_prompts, sparse_tokens


@pytest.fixture
def frame() -> Frame:
    labels = np.zeros((256, 256), np.int32)
    for i in range(8):
        labels[20 + 25 * i : 38 + 25 * i, 30 : 60 + 10 * i] = i + 1
    return Frame(labels, np.arange(1, 9))


def config(**values: float) -> FineTuneConfig:
    return FineTuneConfig.checked(prompts_per_step=8, **values)


def test_shares_choose_the_kinds(frame: Frame) -> None:
    rng = np.random.default_rng(0)
    boxes = plan_prompts(frame, config(box_share=1.0, scribble_share=0.0), rng).first
    assert all(box is not None for box in boxes.boxes) and not any(boxes.clicks)
    clicks = plan_prompts(frame, config(box_share=0.0, scribble_share=0.0), rng).first
    assert clicks.single_click.all() and not any(clicks.boxes)
    scribbles = plan_prompts(frame, config(scribble_share=1.0), rng).first
    (count,) = {len(c) for c in scribbles.clicks}
    assert 3 <= count <= 5 and not scribbles.single_click.any()
    plans = [plan_prompts(frame, config(correction_share=1.0, mask_share=0.5), rng) for _ in range(40)]
    assert {1, 2} <= {p.corrections for p in plans} and max(p.corrections for p in plans) <= MOST_CORRECTIONS
    assert {p.carries_mask for p in plans} == {True, False}
    assert plan_prompts(frame, config(correction_share=0.0, mask_share=1.0), rng).corrections == 0


def test_the_same_seed_draws_the_same(frame: Frame) -> None:
    one, two = (plan_prompts(frame, config(), np.random.default_rng(5)) for _ in range(2))
    assert one.first.clicks == two.first.clicks and one.first.boxes == two.first.boxes


def test_every_prompt_lies_on_its_object(frame: Frame) -> None:
    rng = np.random.default_rng(1)
    for scribble_share in (0.0, 1.0):
        batch = plan_prompts(frame, config(scribble_share=scribble_share), rng).first
        for target, clicks in zip(batch.targets, batch.clicks, strict=True):
            assert all(target[row, col] for row, col, _ in clicks)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(1, 9))
def test_a_scribble_stays_inside(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((40, 50), bool)
    row, col = 20, 25
    for _ in range(200):  # a random walk: one connected piece of any shape
        mask[row, col] = True
        step = rng.integers(-1, 2, 2)
        row, col = int(np.clip(row + step[0], 0, 39)), int(np.clip(col + step[1], 0, 49))
    points = random_scribble(mask, count, rng)
    assert len(points) == count and all(mask[point] for point in points)


def test_corrections_go_to_the_largest_errors_first(frame: Frame) -> None:
    target = frame.labels == 4
    answer = target.copy()
    rows, cols = np.nonzero(target)
    answer[rows.min() : rows.min() + 12, cols.min() : cols.min() + 12] = False
    answer[200:206, 200:206] = True
    batch = PromptBatch([[(100, 40, 1)]], [None], target[None], np.ones_like(target))
    (clicks,) = batch.corrected(answer[None], 4).clicks
    assert [label for *_, label in clicks[1:]] == [1, 0, 1, 1]
    assert target[clicks[1][:2]] and not answer[clicks[1][:2]] and answer[clicks[2][:2]] and not target[clicks[2][:2]]
    assert all(target[click[:2]] for click in clicks[3:])


@torch.no_grad()
def test_tokens_and_masks_are_the_prompt_encoders_own(base_sam: Sam, frame: Frame) -> None:
    """Differential: one by one through segment-anything's prompt encoder."""
    batch = plan_prompts(frame, config(scribble_share=0.0, box_share=0.5), np.random.default_rng(2)).first
    batch = batch.corrected(np.zeros_like(batch.targets), 2)
    assert sparse_tokens(base_sam, batch).shape == (8, 4, 256)
    assert dense_prompt(base_sam, batch).shape == (1, 256, 1, 1)
    batch.masks = torch.randn(8, 1, 256, 256)
    for k in (0, 7):
        points = torch.tensor([[(col + 0.5, row + 0.5) for row, col, _ in batch.clicks[k]]])
        labels = torch.tensor([[label for *_, label in batch.clicks[k]]])
        box = batch.boxes[k]
        corners = None if box is None else torch.tensor([[box[1], box[0], box[3], box[2]]], dtype=torch.float)
        sparse, dense = base_sam.prompt_encoder((points, labels), corners, batch.masks[k : k + 1])
        torch.testing.assert_close(sparse_tokens(base_sam, batch)[k : k + 1], sparse)
        torch.testing.assert_close(dense_prompt(base_sam, batch)[k : k + 1], dense, atol=1e-4, rtol=1e-4)
    part = batch.part(slice(2, 5))
    assert len(part) == 3 and part.clicks == batch.clicks[2:5] and torch.equal(part.masks, batch.masks[2:5])  # type: ignore[arg-type]


def test_clicks_and_boxes_share_a_batch_also_when_corrected(base_sam: Sam, frame: Frame) -> None:
    rng = np.random.default_rng(0)
    mixed = (plan_prompts(frame, config(box_share=0.5, scribble_share=0.0), rng).first for _ in range(100))
    batch = next(b for b in mixed if None in b.boxes and any(b.boxes))
    assert batch.single_click.any() and sparse_tokens(base_sam, batch).shape == (8, 2, 256)
    corrected = batch.corrected(np.zeros_like(batch.targets))
    assert sparse_tokens(base_sam, corrected).shape == (8, 3, 256) and not corrected.single_click.any()
    for clicks, target in zip(corrected.clicks, batch.targets, strict=True):
        row, col, label = clicks[-1]
        assert label == 1 and target[row, col]
