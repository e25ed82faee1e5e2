"""Maps as the head should draw them give the objects that they were drawn from."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from naslora_trainer.instances import SMALLEST, classes_of, find_instances
from naslora_trainer.matching import match
from naslora_trainer.seed_targets import distances

DISK = st.tuples(st.integers(8, 119), st.integers(8, 119), st.integers(4, 20))


def maps_of(labels: np.ndarray) -> np.ndarray:
    return np.stack([labels > 0, *distances(labels)]).astype(np.float32)


@given(st.lists(DISK, max_size=12))
def test_disks_that_touch_are_told_apart(disks: list[tuple[int, int, int]]) -> None:
    rows, cols = np.mgrid[:128, :128]
    labels = np.zeros((128, 128), np.int32)
    kept: list[tuple[int, int, int]] = []
    for row, col, radius in disks:
        if all(np.hypot(row - r, col - c) >= radius + other for r, c, other in kept):
            kept.append((row, col, radius))
            labels[(rows - row) ** 2 + (cols - col) ** 2 < radius**2] = len(kept)
    found = find_instances(maps_of(labels))
    scores = match(found.labels, labels)
    assert scores.true_positives == len(kept) == len(found.seeds) == len(found.confidence)
    assert ((found.labels > 0) == (labels > 0)).all()
    for number, (row, col) in enumerate(found.seeds, start=1):
        assert found.labels[row, col] == number
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()


def test_nothing_and_specks_are_no_objects() -> None:
    labels = np.zeros((40, 50), np.int32)
    assert len(find_instances(maps_of(labels)).seeds) == 0
    labels[3, 3 : 3 + SMALLEST - 1] = 1
    found = find_instances(maps_of(labels))
    assert not found.labels.any() and found.seeds.shape == (0, 2)


@given(hnp.arrays(np.int32, (7, 9), elements=st.integers(0, 4)), st.integers(2, 3))
def test_an_object_has_the_class_that_most_of_its_pixels_are_likely_of(labels: np.ndarray, classes: int) -> None:
    rng = np.random.default_rng(0)
    told = rng.dirichlet(np.ones(classes), (7, 9)).transpose(2, 0, 1)
    found = classes_of(labels, told, 4)
    assert found.shape == (4,)
    for number in np.unique(labels[labels > 0]):
        assert found[number - 1] == told[:, labels == number].mean(axis=1).argmax() + 1
    twice = labels.repeat(2, 0).repeat(2, 1)
    assert np.array_equal(classes_of(twice, told, 4), found)
