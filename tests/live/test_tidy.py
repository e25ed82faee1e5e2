from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from naslora_napari.live.tidy import tidied


def test_specks_holes_and_other_parts_go() -> None:
    clean = np.zeros((40, 40), bool)
    clean[5:20, 5:20] = True
    ragged = clean.copy()
    ragged[10, 10] = False
    ragged[30:36, 30:36] = True
    ragged[25, 3] = True
    found = tidied(ragged)
    assert found[10, 10] and not found[25:].any()
    assert (found != clean).sum() <= 4  # the corners of a square are rounded
    other = tidied(ragged, [(33.0, 33.0)])
    assert other[33, 33] and not other[:25].any()
    assert tidied(ragged, [(33.2, 32.8), (12.0, 12.0)])[[33, 12], [33, 12]].all()


def test_what_is_too_thin_to_vote_stays() -> None:
    line = np.zeros((20, 20), bool)
    line[10] = True
    np.testing.assert_array_equal(tidied(line), line)
    assert not tidied(np.zeros((3, 3), bool)).any()


@given(arrays(bool, (9, 11)), st.tuples(st.integers(0, 8), st.integers(0, 10)))
def test_there_is_one_part_for_one_click_and_no_hole(mask: np.ndarray, click: tuple[int, int]) -> None:
    found = tidied(mask, [click])
    assert found.any() == mask.any() and found.shape == mask.shape
    if not np.array_equal(found, mask):
        assert ndimage.label(found)[1] == 1
        np.testing.assert_array_equal(ndimage.binary_fill_holes(found), found)
