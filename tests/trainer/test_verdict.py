"""The verdict on a new model, on constructed scores."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from naslora_trainer.verdict import SLIGHT, Each, Verdict, found, means, overall, paired


def scores(click: list[float], box: list[float] | None = None) -> Each:
    """Return Dice of objects that are asked for by both prompts."""
    both = {"click": click, "box": box or [0.9] * len(click)}
    return {("a", key, prompt): dice for prompt, each in both.items() for key, dice in enumerate(each)}


def judged(before: Each, after: Each, automatic: tuple[float | None, float, int] | None = None) -> Verdict:
    """Return what all scores together mean."""
    alone = [found(*automatic)] if automatic else []
    return overall([*(paired(kind, before, after) for kind in ("click", "box")), *alone])[0]


BEFORE = [0.95, 0.6, 0.9, 0.85, 0.7, 0.97, 0.8, 0.92, 0.65, 0.88, 0.91, 0.75]
#: As much lost as won.
SPREAD = np.array([0.06, -0.05, 0.04, -0.06, 0.05, -0.03, 0.02, -0.03, 0.01, -0.04, 0.04, -0.01])


def moved(by: float, spread: float = 1.0) -> list[float]:
    return [float(dice) for dice in np.array(BEFORE) + by + spread * SPREAD]


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        (moved(0.0), "no difference"),
        (moved(-0.014), "no difference"),  # 0.014 lost on twelve objects that go both ways
        (moved(-0.014, spread=0.1), "worse"),  # as much lost on each of them
        (moved(0.02), "probably better"),  # chance could do that, but nothing is lost
        (moved(0.04), "better"),
        (moved(-0.035), "worse"),  # chance could do that, but it is too much to be tried
        (moved(-SLIGHT * 0.9, spread=0.0), "no difference"),  # sure, but slight
    ],
)
def test_a_difference_counts_beyond_the_noise(after: list[float], outcome: Verdict) -> None:
    before = scores(BEFORE)
    assert judged(before, scores(after)) == outcome
    assert judged(scores(BEFORE, BEFORE), scores(BEFORE, after)) == outcome


def test_the_noise_is_that_of_a_paired_t_test() -> None:
    after = moved(0.02)
    low, high = stats.ttest_rel(after, BEFORE).confidence_interval(0.95)
    assert paired("click", scores(BEFORE), scores(after)).noise == pytest.approx((high - low) / 2)


@pytest.mark.parametrize(("loss", "outcome"), [(0.02, "no difference"), (0.04, "worse"), (-0.2, "better")])
def test_one_object_tells_only_much(loss: float, outcome: Verdict) -> None:
    comparison = paired("click", scores([0.5]), scores([0.5 - loss]))
    assert math.isinf(comparison.noise) and comparison.outcome == outcome
    assert json.loads(json.dumps(comparison.to_json(), allow_nan=False))["noise"] is None


def test_worse_in_one_is_worse_whatever_is_won_elsewhere() -> None:
    before, worse = scores(BEFORE), scores(moved(-0.1))
    assert judged(before, worse, (None, 0.99, 100)) == "worse"
    assert judged(scores(BEFORE, BEFORE), scores(moved(0.05), moved(-0.1))) == "worse"
    assert judged(before, scores(moved(0.05)), (0.95, 0.6, 100)) == "worse"


def test_finding_objects_by_itself_belongs_to_the_verdict() -> None:
    before, level = scores(BEFORE), scores(moved(-0.01))
    assert judged(before, level) == "no difference"
    assert judged(before, level, (None, 0.985, 27)) == "better"
    assert judged(before, level, (None, 0.3, 27)) == "no difference"
    assert judged(before, level, (0.8, 0.95, 75)) == "better"
    assert judged(before, level, (0.8, 0.95, 10)) == "no difference"
    assert judged(before, level, (0.9, 0.6, 8)) == "worse"
    assert judged(before, level, (1.0, 1.0, 8)) == "no difference"


def test_a_gain_within_the_noise_is_enough_where_nothing_is_lost() -> None:
    before, more = scores(BEFORE, BEFORE), moved(0.02)
    assert judged(before, scores(more, moved(0.0))) == "probably better"
    assert judged(before, scores(more, moved(-0.014))) == "no difference"
    assert judged(before, scores(more, moved(0.0)), (0.9, 0.88, 20)) == "no difference"
    assert judged(before, scores(moved(0.004), moved(0.004))) == "no difference"


def test_the_reason_has_each_score() -> None:
    both = [paired(kind, scores(BEFORE), scores(moved(0.04))) for kind in ("click", "box")]
    outcome, reason = overall([*both, found(None, 0.985, 27)])
    assert outcome == "better"
    assert reason == (
        "On held-out objects the new model is better than the one in use: clicks 0.823 -> 0.863 (better), "
        "boxes 0.900 -> 0.900 (no difference), automatic none -> 0.985 (better)."
    )


dices = st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=30)


@given(dices, st.randoms(use_true_random=False))
def test_the_order_of_objects_does_not_matter(rows: list[tuple[float, ...]], random: object) -> None:
    click, box, new_click, new_box = map(list, zip(*rows, strict=True))
    before, after = scores(click, box), scores(new_click, new_box)
    keys = list(before)
    random.shuffle(keys)  # type: ignore[attr-defined]
    mixed = {key: before[key] for key in keys}
    assert means(mixed) == means(before)
    for kind in ("click", "box"):
        assert paired(kind, mixed, after) == paired(kind, before, after)


@given(dices, st.one_of(st.none(), st.floats(0, 1)), st.integers(0, 100))
def test_a_model_that_is_equal_makes_no_difference(
    rows: list[tuple[float, ...]], automatic: float | None, count: int
) -> None:
    same = scores([row[0] for row in rows], [row[1] for row in rows])
    assert judged(same, dict(same), None if automatic is None else (automatic, automatic, count)) == "no difference"


@given(dices)
def test_what_one_model_wins_the_other_loses(rows: list[tuple[float, ...]]) -> None:
    """Whichever is in use: never are both better, and a loss of more than the bound is never put in place."""
    click, box, new_click, new_box = map(list, zip(*rows, strict=True))
    one, other = scores(click, box), scores(new_click, new_box)
    good = ("better", "probably better")
    assert not (judged(one, other) in good and judged(other, one) in good)
    if judged(one, other) in good:
        assert min(means(other)[kind] - means(one)[kind] for kind in ("click", "box")) >= -0.03
