from __future__ import annotations

import numpy as np
import pytest

from naslora_napari.live.refining import from_object, refining
from naslora_trainer.prompts import Prediction, Prompts

FIRST = Prompts().with_click((5, 6))


def answer() -> Prediction:
    mask = np.ones((8, 9), bool)
    return Prediction(mask, 0.9, np.full((1, 256, 256), 3, np.float32), mask[None], np.ones(1, np.float32), "m", (2, 3))


def test_one_more_click_goes_on_from_the_mask_that_is_shown() -> None:
    preview = answer()
    more = refining(FIRST.with_click((8, 8), 0), FIRST, FIRST, preview)
    assert more.mask is preview.low_res and more.mask_region == (2, 3, 10, 12)


def test_a_click_before_the_answer_goes_on_from_the_mask_before() -> None:
    preview = answer()
    second = refining(FIRST.with_click((8, 8), 0), FIRST, FIRST, preview)
    third = refining(second.with_click((7, 7)), second, FIRST, None)
    assert third.mask is preview.low_res


@pytest.mark.parametrize(
    "now", [Prompts().with_click((9, 9)), Prompts(), Prompts(box=(0, 0, 9, 9)), Prompts().with_click((5, 6), 0)]
)
def test_a_prompt_that_was_moved_or_deleted_begins_anew(now: Prompts) -> None:
    assert refining(now, FIRST, FIRST, answer()).mask is None


def test_an_object_is_asked_for_by_its_own_pixels() -> None:
    mask = np.zeros((30, 40), bool)
    mask[4:20, 10:30] = True
    prompts = from_object(*np.nonzero(mask))
    assert prompts.box == prompts.mask_region == (4, 10, 20, 30)
    assert prompts.mask is not None and (prompts.mask[0, :204, :256] > 0).mean() > 0.9
