from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.draw import disk

from naslora_napari.live.pieces import pieces


def circles(*centres: tuple[int, int]) -> np.ndarray:
    mask = np.zeros((40, 60), bool)
    for centre in centres:
        mask[disk(centre, 11)] = True
    return mask


def test_touching_circles_are_split_where_they_touch() -> None:
    parts = pieces(circles((20, 18), (20, 38)))
    assert parts.max() == 2 and parts[20, 18] != parts[20, 38]
    assert set(parts[20, :28][parts[20, :28] > 0]) != set(parts[20, 29:][parts[20, 29:] > 0])
    assert len(set(np.unique(parts[:, :26])) - {0}) == len(set(np.unique(parts[:, 31:])) - {0}) == 1


def test_a_circle_is_one_unless_clicks_say_otherwise() -> None:
    mask = circles((20, 20))
    assert pieces(mask).max() == 1 and pieces(mask, [(20, 20)]).max() == 1
    parts = pieces(mask, [(20, 12), (20, 20), (20, 28)])
    assert len({parts[20, 12], parts[20, 20], parts[20, 28]}) == 3


@given(arrays(bool, (9, 11)), st.lists(st.tuples(st.integers(0, 8), st.integers(0, 10)), max_size=4))
def test_parts_cover_the_object_and_nothing_else(mask: np.ndarray, clicks: list[tuple[int, int]]) -> None:
    parts = pieces(mask, [click for click in clicks if mask[click]])
    np.testing.assert_array_equal(parts > 0, mask)
    assert set(np.unique(parts)) - {0} == set(range(1, parts.max() + 1))
