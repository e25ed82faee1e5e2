from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from naslora_trainer.matching import match


def test_perfect_missing_and_invented_objects() -> None:
    labelled = np.zeros((20, 20), int)
    labelled[:5, :5], labelled[10:15, 10:15] = 1, 7
    assert match(labelled, labelled).f1 == 1
    half = np.where(labelled == 7, 3, 0)
    half[0, 19] = 4
    found = match(half, labelled)
    assert (found.true_positives, found.false_positives, found.false_negatives) == (1, 1, 1)
    assert found.precision == found.recall == found.f1 == 0.5 and found.accuracy == 1 / 3
    nothing = match(np.zeros_like(labelled), labelled)
    assert nothing.recall == 0 and nothing.false_negatives == 2


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 0.6, 0.75]))
def test_it_equals_the_best_assignment(seed: int, threshold: float) -> None:
    """The definition of StarDist's matching: as many pairs as possible with IoU of at least the threshold."""
    rng = np.random.default_rng(seed)
    labelled = rng.integers(0, 4, (6, 6))
    found = np.where(rng.random((6, 6)) < 0.8, labelled, rng.integers(0, 4, (6, 6)))
    a, b = [i for i in np.unique(found) if i], [i for i in np.unique(labelled) if i]
    iou = np.array(
        [[((found == i) & (labelled == j)).sum() / ((found == i) | (labelled == j)).sum() for j in b] for i in a]
    )
    pairs = iou.reshape(len(a), len(b)) >= threshold
    rows, cols = linear_sum_assignment(~pairs)
    assert match(found, labelled, threshold).true_positives == pairs[rows, cols].sum()
