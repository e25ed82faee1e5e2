from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslora_trainer.errors import UserError
from naslora_trainer.prompts import Prompts, Stroke, box_of, deepest_point, jitter_box, next_click, random_click
from naslora_trainer.scores import dice, iou

masks = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).random((13, 17)) < 0.4)


def test_a_click_outside_the_image_is_refused() -> None:
    with pytest.raises(UserError, match="outside the image"):
        Prompts().with_click((20.0, 3.0)).checked((20, 20))
    with pytest.raises(UserError, match="outside the image"):
        Prompts().with_click((float("nan"), 3.0)).checked((20, 20))


def test_a_box_is_ordered_and_cut_at_the_border() -> None:
    assert Prompts(box=(9, 30, 2, -4)).checked((20, 20)).box == (2, 0, 9, 20)


@pytest.mark.parametrize("box", [(3, 3, 3, 9), (30, 30, 40, 40), (float("nan"), 0, 5, 5)])
def test_a_box_without_area_is_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(UserError, match="no area"):
        Prompts(box=box).checked((20, 20))


def test_negative_clicks_alone_are_empty() -> None:
    assert Prompts(points=((1, 1),), labels=(0,)).empty
    assert not Prompts(box=(0, 0, 4, 4)).empty


@given(masks)
def test_clicks_are_inside_the_object(mask: np.ndarray) -> None:
    mask[0, 0] = True
    assert mask[deepest_point(mask)]
    assert mask[random_click(mask, np.random.default_rng(0))]


def test_the_deepest_point_of_a_disc_is_its_centre() -> None:
    rows, cols = np.mgrid[:21, :21]
    assert deepest_point((rows - 9) ** 2 + (cols - 12) ** 2 <= 36) == (9, 12)


@given(masks, masks)
def test_a_correction_is_on_an_error_of_its_kind(predicted: np.ndarray, target: np.ndarray) -> None:
    found = next_click(predicted, target)
    if found is None:
        assert (predicted == target).all()
        return
    point, label = found
    assert target[point] == bool(label) and predicted[point] != target[point]


@given(masks)
def test_a_box_holds_the_mask_and_no_empty_edge(mask: np.ndarray) -> None:
    mask[5, 5] = True
    row0, col0, row1, col1 = (int(v) for v in box_of(mask))
    inside = mask[row0:row1, col0:col1]
    assert inside.sum() == mask.sum()
    assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()


def test_a_jittered_box_stays_in_the_image() -> None:
    rng = np.random.default_rng(0)
    boxes = np.array([jitter_box((0, 2, 10, 20), (10, 20), rng) for _ in range(50)])
    assert boxes.min() >= 0 and boxes[:, 2].max() <= 10 and boxes[:, 3].max() <= 20
    assert (boxes[:, 2] > boxes[:, 0]).all()


@given(masks, masks)
def test_scores_are_symmetric_and_consistent(a: np.ndarray, b: np.ndarray) -> None:
    assert dice(a, b) == dice(b, a)
    assert iou(a, b) <= dice(a, b) <= 1
    assert iou(a, a) == dice(a, a) == 1


def test_a_stroke_becomes_clicks_along_it() -> None:
    stroke = Stroke(((0.0, 0.0), (0.0, 6.0), (2.0, 6.0)))
    assert stroke.clicks() == ((0.0, 0.0), (0.0, 2.0), (0.0, 4.0), (0.0, 6.0), (2.0, 6.0))
    assert Stroke(((3.0, 4.0),)).clicks() == Stroke(((3.0, 4.0), (3.0, 4.0))).clicks() == ((3.0, 4.0),)
    asked = Prompts(((9.0, 9.0),), (0,), strokes=(stroke, Stroke(((5.0, 5.0),), 0)))
    found = asked.as_clicks()
    assert found.points == ((9.0, 9.0), *stroke.clicks(), (5.0, 5.0)) and found.labels == (0, 1, 1, 1, 1, 1, 0)
    assert not found.strokes and not asked.empty and Prompts(strokes=(Stroke(((1.0, 1.0),), 0),)).empty


def test_a_stroke_that_leaves_the_image_goes_along_its_border() -> None:
    inside = Prompts(strokes=(Stroke(((5.0, 5.0), (5.0, 50.0))),)).checked((10, 20))
    assert inside.strokes[0].points == ((5.0, 5.0), (5.0, 19.0))
    with pytest.raises(UserError, match="scribble is outside"):
        Prompts(strokes=(Stroke(((50.0, 50.0), (60.0, 60.0))),)).checked((10, 20))
    for points, label in (((), 1), (((1.0, 1.0),), 2)):
        with pytest.raises(ValueError, match="stroke"):
            Stroke(points, label)
