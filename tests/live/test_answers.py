from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from naslora_napari.live import LivePredictor
from naslora_napari.live.answers import Answers
from naslora_trainer.prompts import Prompts, deepest_point


@pytest.fixture(scope="module")
def predictor(image: np.ndarray) -> LivePredictor:
    made = LivePredictor()
    made.set_image(image)
    return made


def test_the_same_question_is_answered_once(predictor: LivePredictor, nucleus: np.ndarray) -> None:
    answers, click = Answers(predictor), Prompts().with_click(deepest_point(nucleus))
    first = answers.ask(click)
    assert answers.ask(Prompts().with_click(deepest_point(nucleus))) is first
    further = replace(click, mask=first.low_res)  # equal prompts, which go on from a mask
    assert answers.ask(further) is not first and answers.ask(further) is answers.ask(further)


def test_another_image_zoom_or_model_is_asked_anew(
    predictor: LivePredictor, image: np.ndarray, nucleus: np.ndarray
) -> None:
    answers, click = Answers(predictor), Prompts().with_click(deepest_point(nucleus))
    first = answers.ask(click)
    predictor.set_image(image[::-1].copy())
    assert answers.ask(click) is not first
    predictor.set_image(image)
    again = answers.ask(click)
    assert again is not first and np.array_equal(again.mask, first.mask)
    predictor.visible = (0.0, 0.0, 40.0, 40.0)
    assert answers.ask(click) is not again
    predictor.visible = None
    predictor.swap(None)
    assert answers.ask(click) is not again
