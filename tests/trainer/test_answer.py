from __future__ import annotations

import numpy as np
import pytest
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from naslora_trainer.answer import answer
from naslora_trainer.data import TrainingImage, objects_of
from naslora_trainer.evaluate import answer_all, evaluate
from naslora_trainer.examinee import Examinee
from naslora_trainer.prompts import Prompts, Stroke, box_of, deepest_point
from naslora_trainer.scores import dice


@pytest.fixture(scope="module")
def predictor(litemedsam: Sam, nuclei: list[TrainingImage]) -> SamPredictor:
    predictor = SamPredictor(litemedsam)
    predictor.set_image(nuclei[0].image)
    return predictor


@pytest.fixture(scope="module")
def target(nuclei: list[TrainingImage]) -> np.ndarray:
    """The largest nucleus."""
    labels = nuclei[0].labels
    return labels == max(objects_of(nuclei[0]), key=lambda i: int((labels == i).sum()))


def test_a_box_is_sam_predictors_own_answer(predictor: SamPredictor, target: np.ndarray) -> None:
    row0, col0, row1, col1 = box_of(target)
    masks, scores, _ = predictor.predict(box=np.array([col0, row0, col1, row1]), multimask_output=False)
    mine = answer(predictor, Prompts(box=box_of(target)), ("box",), "v1")
    assert np.array_equal(mine.mask, masks[0]) and mine.score == pytest.approx(float(scores[0]))
    assert mine.version == "v1" and mine.low_res.shape == (1, 256, 256)
    assert dice(mine.mask, target) > 0.7


def test_a_stroke_is_asked_as_clicks_along_it(predictor: SamPredictor) -> None:
    stroke = Stroke(((10.0, 40.0), (14.0, 40.0)))
    points = [(row, 40.0) for row in (10.0, 11.0, 12.0, 13.0, 14.0)]
    mine = answer(predictor, Prompts(strokes=(stroke,)), ("point",))
    assert np.array_equal(mine.mask, answer(predictor, Prompts(tuple(points), (1,) * 5), ("point",)).mask)


def test_any_mixture_is_sam_predictors_own_answer(predictor: SamPredictor, target: np.ndarray) -> None:
    row0, col0, row1, col1 = box_of(target)
    first = answer(predictor, Prompts(((11, 40),), (1,)), ("point", "box"))
    mixed = Prompts(((11, 40), (2, 3)), (1, 0), box_of(target), mask=first.low_res)
    xy, labels, box = np.array([[40.5, 11.5], [3.5, 2.5]]), np.array([1, 0]), np.array([col0, row0, col1, row1])
    masks, scores, low_res = predictor.predict(xy, labels, box, mixed.mask, multimask_output=False)
    mine = answer(predictor, mixed, ("point", "box", "multimask"))
    assert np.array_equal(mine.candidates, masks) and mine.scores == pytest.approx(scores)
    assert mine.low_res == pytest.approx(low_res, abs=1e-3)


def test_points_are_row_and_column(predictor: SamPredictor) -> None:
    masks, _, _ = predictor.predict(np.array([[40.5, 11.5]]), np.array([1]), multimask_output=False)
    assert np.array_equal(answer(predictor, Prompts(((11, 40),), (1,)), ("point", "box")).mask, masks[0])


def test_a_model_with_multimask_ranks_three_by_quality(predictor: SamPredictor) -> None:
    mine = answer(predictor, Prompts(((11, 40),), (1,)), ("point", "box", "multimask"))
    assert mine.candidates.shape == (3, 64, 64) and (np.diff(mine.scores) <= 0).all()
    assert np.array_equal(mine.mask, mine.candidates[0])


def test_a_click_on_a_box_trained_model_finds_the_object(predictor: SamPredictor, target: np.ndarray) -> None:
    click = Prompts().with_click(deepest_point(target))
    found, bare = (answer(predictor, click, learned) for learned in (("box",), ("point", "box")))
    assert dice(found.mask, target) > 0.5 > dice(bare.mask, target)
    assert found.mask[deepest_point(target)] and len(found.candidates) == 9


def test_a_negative_click_moves_the_answer_off_that_place(predictor: SamPredictor, target: np.ndarray) -> None:
    click = Prompts().with_click(deepest_point(target))
    first = answer(predictor, click, ("box",))
    covered = [c for c in first.candidates if c.any() and c[deepest_point(target)]]
    place = deepest_point(covered[-1] & ~covered[0]) if (covered[-1] & ~covered[0]).any() else deepest_point(first.mask)
    assert not answer(predictor, click.with_click(place, 0), ("box",)).mask[place]


def test_empty_prompts_are_an_error(predictor: SamPredictor) -> None:
    with pytest.raises(ValueError, match="no positive click"):
        answer(predictor, Prompts())


def test_evaluate_reports_what_was_asked(litemedsam: Sam, nuclei: list[TrainingImage]) -> None:
    scores = evaluate(Examinee(litemedsam, ("box",)), nuclei[:1], clicks=2, max_objects=2)
    assert scores["objects"] == 2 and len(scores["point"]["dice"]) == 2
    assert 0 < scores["point"]["iou"][0] <= scores["point"]["dice"][0] <= 1
    assert 1 <= scores["point"]["noc85"] <= scores["point"]["noc90"] <= 3
    only_boxes = evaluate(Examinee(litemedsam, ("box",)), nuclei[:1], kinds=("box",), max_objects=1)
    assert set(only_boxes) == {"objects", "box"}


@pytest.mark.parametrize("learned", [("box",), ("point", "box"), ("point", "box", "multimask")])
def test_many_answers_at_once_are_the_single_answers(
    learned: tuple[str, ...], predictor: SamPredictor, nuclei: list[TrainingImage]
) -> None:
    targets = [nuclei[0].labels == i for i in objects_of(nuclei[0])]
    clicked = [Prompts().with_click(deepest_point(target)) for target in targets]
    kinds = [clicked, [p.with_click((3, 3), 0) for p in clicked], [Prompts(box=box_of(target)) for target in targets]]
    for prompts in kinds:
        together = answer_all(predictor, prompts, learned)
        for mask, one in zip(together, prompts, strict=True):
            differing = int((mask != answer(predictor, one, learned).mask).sum())
            assert mask.shape == targets[0].shape and differing <= 2  # of rounding at the threshold
    assert answer_all(predictor, [], learned) == []
