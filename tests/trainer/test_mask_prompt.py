from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from naslora_trainer.mask_prompt import CERTAIN, LOW_RES, cut, filled, mask_logits, reframed
from naslora_trainer.prompts import Prompts
from naslora_trainer.scores import iou

SQUARE = ((10.0, 10.0), (10.0, 50.0), (40.0, 50.0), (40.0, 10.0))


def test_an_outline_is_filled() -> None:
    inside = filled(SQUARE, (64, 64))
    assert inside[11:40, 11:50].all() and not inside[:10].any() and not inside[:, 51:].any()
    assert not filled(SQUARE[:2], (64, 64)).any()


#: Between the middles of pixels, so that none lies on an edge.
places = st.integers(-160, 400).map(lambda quarter: quarter / 4 + 0.1)
corners = st.lists(st.tuples(places, places), min_size=3, max_size=8)


@given(corners)
def test_a_cut_outline_is_inside_and_covers_the_same_pixels(outline: list[tuple[float, float]]) -> None:
    shape = (50, 60)
    found = cut(outline, shape)
    assert all(-0.5 - 1e-6 <= row <= 49.5 + 1e-6 and -0.5 - 1e-6 <= col <= 59.5 + 1e-6 for row, col in found)
    moved = [(row + 40, col + 40) for row, col in outline]
    whole = filled(moved, (140, 140))[40:90, 40:100]
    # a pixel whose middle lies on an edge may fall on either side
    assert (filled(found, shape) != whole).sum() <= 0.02 * whole.size


def test_logits_lie_where_sam_looks_for_them(base_sam: Sam) -> None:
    """The frame is that of the model's own low-resolution answers: upscaled, they are the mask again."""
    mask = filled(SQUARE, (64, 96))
    predictor = SamPredictor(base_sam)
    predictor.set_image(np.zeros((64, 96, 3), np.uint8))
    logits = torch.as_tensor(mask_logits(mask))[None]
    back = base_sam.postprocess_masks(logits, predictor.input_size, predictor.original_size)[0, 0] > 0
    assert iou(back.numpy(), mask) > 0.95
    assert logits.min() == -CERTAIN and logits.shape == (1, 1, LOW_RES, LOW_RES)


def test_logits_move_into_another_frame() -> None:
    mask = np.zeros((100, 100), bool)
    mask[30:60, 40:70] = True
    whole = mask_logits(mask)
    part = (20, 20, 84, 84)
    assert reframed(whole, part, part) is whole
    moved = reframed(whole, (0, 0, 100, 100), part)
    assert iou(moved[0] > 0, mask_logits(mask[20:84, 20:84])[0] > 0) > 0.95
    outside = reframed(whole, (0, 0, 100, 100), (0, 80, 100, 180))
    assert (outside < 0).all()


@given(st.integers(0, 50), st.integers(0, 50), st.sampled_from([1, 2, 4, 8]))
def test_prompts_in_a_part_point_at_the_same_place(row: int, col: int, factor: int) -> None:
    prompts = Prompts(((60.0, 70.0),), (1,), (60, 60, 80, 90), outline=SQUARE)
    moved = prompts.in_part((row, col), factor)
    (point,) = moved.points
    assert (point[0] + 0.5) * factor - 0.5 + row == 60 and (point[1] + 0.5) * factor - 0.5 + col == 70
    assert moved.box is not None and moved.box[2] * factor + row == 80 and moved.box[3] * factor + col == 90
    assert len(moved.outline) == 4 and moved.labels == prompts.labels
