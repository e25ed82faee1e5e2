from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from naslora_napari.store.formats.outlines import ellipse, fill, one_ring, outlines

MASKS = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def whole(found: tuple[np.ndarray, tuple[int, int]] | None, size: tuple[int, int]) -> np.ndarray:
    plane = np.zeros(size, bool)
    if found is not None:
        mask, (row, col) = found
        plane[row : row + mask.shape[0], col : col + mask.shape[1]] = mask
    return plane


@settings(max_examples=150, deadline=None)
@given(MASKS)
def test_the_outline_of_a_mask_gives_the_mask_again(mask: np.ndarray) -> None:
    pieces = outlines(mask)
    assert np.array_equal(whole(fill(pieces, mask.shape), mask.shape), mask)
    if mask.any():
        assert np.array_equal(whole(fill([[one_ring(pieces)]], mask.shape), mask.shape), mask)
    valid = [shapely.Polygon(piece[0], piece[1:]) for piece in pieces]
    assert all(polygon.is_valid for polygon in valid)
    assert sum(polygon.area for polygon in valid) == mask.sum()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.floats(-3, 12), st.floats(-3, 12)), min_size=3, max_size=3, unique=True))
def test_a_pixel_belongs_to_an_outline_when_its_centre_is_inside(corners: list[tuple[float, float]]) -> None:
    triangle = shapely.Polygon(corners)
    rows, cols = np.mgrid[:9, :10]
    points = shapely.points(cols + 0.5, rows + 0.5)
    clear = shapely.distance(triangle.boundary, points) > 1e-6  # one on the line may be either
    drawn = whole(fill([[np.array(corners)]], (9, 10)), (9, 10))
    assert np.array_equal(drawn[clear], shapely.contains(triangle, points)[clear])


def test_an_outline_is_cut_at_the_image() -> None:
    far = np.array([[-50.0, -50], [50, -50], [50, 50], [-50, 50]])
    mask, offset = fill([[far]], (4, 6)) or pytest.fail("nothing")
    assert mask.shape == (4, 6) and mask.all() and offset == (0, 0)
    assert fill([[far + 1000]], (4, 6)) is None
    assert fill([[far * 0.001 + 2]], (4, 6)) is None  # between the centres


def test_an_ellipse_has_the_area_of_one() -> None:
    mask, _ = ellipse((20.0, 30.0), (15.0, 8.0), (60, 60)) or pytest.fail("nothing")
    assert mask.sum() == pytest.approx(np.pi * 15 * 8, rel=0.01)
    assert ellipse((200.0, 30.0), (15.0, 8.0), (60, 60)) is None and ellipse((2, 3), (0, 1), (60, 60)) is None


def test_a_zigzag_that_costs_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("naslora_napari.store.formats.outlines.MOST_CROSSINGS", 1000)
    zigzag = np.array([[x, 100 * (x % 2)] for x in range(50)], float)
    with pytest.raises(ValueError, match="too long"):
        fill([[zigzag]], (100, 100))


def test_pieces_that_cost_too_much_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("naslora_napari.store.formats.outlines.MOST_DRAWN", 1000)
    square = [np.array([[0.0, 0], [20, 0], [20, 20], [0, 20]])]
    mask, _ = fill([square] * 2, (20, 20)) or pytest.fail("nothing")
    assert mask.all()
    with pytest.raises(ValueError, match="together"):
        fill([square] * 4, (20, 20))
