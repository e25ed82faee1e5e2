from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from naslora_napari.store.formats import rle

MASKS = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@settings(max_examples=200, deadline=None)
@given(MASKS)
def test_run_lengths_are_those_of_pycocotools(mask: np.ndarray) -> None:
    theirs = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    for counts in (theirs["counts"], theirs["counts"].decode()):
        found = rle.decode(counts, list(mask.shape), mask.shape)
        assert np.array_equal(placed(found, mask.shape), mask)
    if mask.any():
        ours = rle.encode(mask, (0, 0), mask.shape)
        assert coco_mask.frPyObjects({"size": list(mask.shape), "counts": ours}, *mask.shape) == theirs
        assert np.array_equal(placed(rle.decode(ours, list(mask.shape), mask.shape), mask.shape), mask)


def placed(found: tuple[np.ndarray, tuple[int, int]] | None, size: tuple[int, ...]) -> np.ndarray:
    plane = np.zeros(size, bool)
    if found is not None:
        mask, (row, col) = found
        plane[row : row + mask.shape[0], col : col + mask.shape[1]] = mask
    return plane


def test_long_runs_are_read() -> None:
    mask = np.zeros((3000, 2000), bool)
    mask[:, 1200:1300] = True
    mask[7, 1999] = True
    theirs = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert np.array_equal(placed(rle.decode(theirs["counts"], [3000, 2000], mask.shape), mask.shape), mask)


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ([12], [1_000_000, 1_000_000]),
        ([5, 5], [3, 4]),
        ([2**62, 2**62, 12], [3, 4]),
        ([-4, 16], [3, 4]),
        ([1.5, 10.5], [3, 4]),
        ([True, 11], [3, 4]),
        ([], [3, 4]),
        ("", [3, 4]),
        ("oooooooooooooooooooo", [3, 4]),
        ("\x00\x01", [3, 4]),
        ("é", [3, 4]),
        ("PPPPPPPPP0", [3, 4]),
        ([12], [3]),
        ([12], "34"),
        (None, [3, 4]),
    ],
)
def test_damaged_run_lengths_are_refused(counts: object, told: object) -> None:
    with pytest.raises(ValueError):
        rle.decode(counts, told, (3, 4))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=30))
def test_any_text_is_read_or_refused(text: bytes) -> None:
    try:
        found = rle.decode(text, [5, 6], (5, 6))
    except ValueError:
        return
    assert found is None or found[0].any()
