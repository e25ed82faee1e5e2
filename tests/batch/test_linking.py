"""Objects that move a little from plane to plane keep their number."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from naslora_napari.batch.linking import LOWEST_IOU, Linker, matched

SIDE, CELL, RADIUS, PLANES = 96, 32, 7, 6
LABELS = hnp.arrays(np.int32, (6, 7), elements=st.integers(0, 4))
LIFE = st.tuples(st.integers(0, PLANES - 1), st.integers(1, PLANES)).map(lambda life: range(life[0], sum(life)))


def discs(lives: list[range], steps: list[tuple[int, int]]) -> np.ndarray:
    """A disc in each cell of a grid, which is there in some planes and moves by at most 2 pixels between them."""
    rows, cols = np.mgrid[:SIDE, :SIDE]
    found = np.zeros((PLANES, SIDE, SIDE), np.int32)
    for number, (life, (down, right)) in enumerate(zip(lives, steps, strict=True), start=1):
        row, col = (CELL * k + CELL // 2 for k in divmod(number - 1, SIDE // CELL))
        for plane in life:
            if plane < PLANES:
                away = np.hypot(rows - row - down * (plane - 2.5), cols - col - right * (plane - 2.5))
                found[plane][away <= RADIUS] = number
    return found


def linked(planes: np.ndarray) -> np.ndarray:
    linker = Linker()
    found = np.stack([linker.numbers(plane)[plane] for plane in planes])
    assert linker.count == found.max(initial=0)
    return found


@settings(max_examples=25)
@given(
    st.lists(LIFE, min_size=9, max_size=9),
    st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=9, max_size=9),
    st.integers(0, 2**32 - 1),
)
def test_moving_discs_are_followed_however_planes_are_numbered(
    lives: list[range], steps: list[tuple[int, int]], seed: int
) -> None:
    truth = discs(lives, steps)
    rng = np.random.default_rng(seed)
    mixed = np.stack([np.concatenate([[0], rng.permutation(20)[:9] + 1])[plane] for plane in truth]).astype(np.int32)
    found = linked(mixed)
    assert np.array_equal(found > 0, truth > 0)
    pairs = np.unique(np.stack([found[truth > 0], truth[truth > 0]]), axis=1)
    assert len(set(pairs[0])) == len(set(pairs[1])) == pairs.shape[1]
    assert np.array_equal(found, linked(truth))


@given(LABELS, LABELS)
def test_pairs_are_one_to_one_and_overlap(before: np.ndarray, now: np.ndarray) -> None:
    found = matched(before, now)
    assert len(set(found.values())) == len(found)
    for new, old in found.items():
        both, either = (before == old) & (now == new), (before == old) | (now == new)
        assert both.sum() / either.sum() >= LOWEST_IOU
    same = matched(now, now)
    assert same == {number: number for number in np.unique(now[now > 0]).tolist()}


def test_the_whole_pairing_counts_not_the_single_best_pair() -> None:
    """Two neighbours move by half of their length: each is linked to itself, though one overlaps the other more."""
    before, now = np.zeros((2, 1, 60), np.int32)
    before[0, 0:20], before[0, 20:40] = 1, 2
    now[0, 11:31], now[0, 31:51] = 1, 2
    assert matched(before, now) == {1: 1, 2: 2}


def test_an_object_is_another_one_after_a_gap_or_a_leap() -> None:
    plane, empty = np.zeros((2, 8, 8), np.int32)
    plane[2:5, 2:5] = 7
    assert linked(np.stack([plane, plane, empty, plane])).max(axis=(1, 2)).tolist() == [1, 1, 0, 2]
    linker = Linker()
    assert linker.numbers(plane)[7] == 1
    linker.leap()
    assert linker.numbers(plane)[7] == 2 and linker.numbers(plane)[7] == 2
