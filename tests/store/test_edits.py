from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from naslora_napari.store import edits
from naslora_napari.store.records import Annotation, ObjectInfo
from naslora_trainer.data import areas_in
from naslora_trainer.errors import UserError

PLANES = arrays(np.int32, (6, 7), elements=st.integers(0, 4))
WINDOWS = st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(0, 4), st.integers(1, 3))


def annotation(labels: np.ndarray) -> Annotation:
    areas = areas_in(labels)
    return Annotation(labels.copy(), {key: ObjectInfo(key) for key in areas}, areas=areas)


def same(a: Annotation, b: Annotation) -> bool:
    return np.array_equal(a.labels, b.labels) and a.objects == b.objects and a.areas == b.areas


def sound(found: Annotation) -> bool:
    return found.areas == areas_in(found.labels) and set(found.objects) == set(found.areas)


@given(PLANES, PLANES, WINDOWS)
def test_painting_in_a_window_leads_there_and_back(before: np.ndarray, after: np.ndarray, place: tuple) -> None:
    row, height, col, width = place
    window = slice(row, row + height), slice(col, col + width)
    wanted = before.copy()
    wanted[window] = after[window]
    start = annotation(before)
    found = copy.deepcopy(start)
    edit = edits.painted(start, "a", wanted, ObjectInfo(9), window)
    assert edits.fits(found, edit)
    edits.apply(found, edit)
    assert sound(found) and np.array_equal(found.labels, wanted)
    assert all(info == start.objects.get(key, ObjectInfo(9)) for key, info in found.objects.items())
    assert edits.fits(found, edit.reversed())
    edits.apply(found, edit.reversed())
    assert same(found, start)


@given(PLANES, PLANES, PLANES)
def test_an_edit_fits_only_where_it_leaves_sound_labels(one: np.ndarray, two: np.ndarray, other: np.ndarray) -> None:
    edit, found = edits.painted(annotation(one), "a", two, ObjectInfo()), annotation(other)
    if edits.fits(found, edit):
        edits.apply(found, edit)
        assert sound(found)


@given(PLANES, arrays(bool, (3, 4)), st.integers(0, 3), st.integers(0, 3), st.booleans())
def test_a_mask_of_a_region_is_put_in_its_place(
    labels: np.ndarray, mask: np.ndarray, row: int, col: int, over: bool
) -> None:
    start = annotation(labels)
    whole = np.zeros(labels.shape, bool)
    whole[row : row + 3, col : col + 4] = mask
    free = whole if over else whole & (labels == 0)
    if not free.any():
        with pytest.raises(UserError, match="no free pixel"):
            edits.new_object(start, "a", mask, ObjectInfo(), (row, col), over)
        return
    edit, key = edits.new_object(start, "a", mask, ObjectInfo(8), (row, col), over)
    edits.apply(start, edit)
    assert (
        sound(start) and np.array_equal(start.labels, np.where(free, key, labels)) and start.objects[key].class_id == 8
    )


@given(PLANES, st.integers(1, 4), st.integers(1, 4))
def test_objects_are_removed_merged_and_parted(labels: np.ndarray, first: int, second: int) -> None:
    start = annotation(labels)
    if not {first, second} <= set(start.objects) or first == second:
        for action in (edits.without_object, lambda old, name, key: edits.merged(old, name, first, key)):
            with pytest.raises(UserError, match="no object|with itself"):
                action(start, "a", 7 if first == second and action is edits.without_object else second + 9)
        return
    gone, joined = copy.deepcopy(start), copy.deepcopy(start)
    edits.apply(gone, edits.without_object(start, "a", second))
    assert sound(gone) and np.array_equal(gone.labels, np.where(labels == second, 0, labels))
    edits.apply(joined, edits.merged(start, "a", first, second))
    assert sound(joined) and np.array_equal(joined.labels, np.where(labels == second, first, labels))
    rows, _ = edits.pixels_of(joined, "a", first)
    parts = np.where(np.arange(len(rows)) % 3 == 0, 3, 1)
    edits.apply(joined, edits.parted(joined, "a", first, parts))
    assert sound(joined) and joined.objects[max(joined.objects)] == ObjectInfo(first)
    assert joined.areas[first] == max(np.bincount(parts))


def test_a_mask_outside_the_image_is_refused() -> None:
    start = annotation(np.zeros((6, 7), np.int32))
    for mask, offset in (
        (np.ones((3, 3), bool), (4, 0)),
        (np.ones((3, 3), bool), (-1, 0)),
        (np.ones((2, 2), int), (0, 0)),
    ):
        with pytest.raises(UserError, match="boolean plane"):
            edits.new_object(start, "a", mask, ObjectInfo(), offset)
    with pytest.raises(UserError, match="of the size of image 'a', 6 x 7 pixels"):
        edits.new_object(start, "a", np.ones((3, 3), bool), ObjectInfo())
