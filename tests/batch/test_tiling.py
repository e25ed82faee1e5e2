"""A large image in tiles is segmented as it would be as a whole."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from naslora_napari.batch.masks import AutoMasks
from naslora_napari.batch.tiling import OVERLAP, stitched, tiles_of


@settings(max_examples=40)
@given(st.tuples(st.integers(1, 200), st.integers(1, 200)), st.integers(8, 90))
def test_cores_cover_the_image_once_and_lie_in_their_windows(shape: tuple[int, int], side: int) -> None:
    count = np.zeros(shape, int)
    for tile in tiles_of(shape, side):
        row0, col0, row1, col1 = tile.core
        rows, cols = (np.arange(length) + 0.5 for length in shape)
        inside = ((rows >= row0) & (rows < row1))[:, None] & ((cols >= col0) & (cols < col1))[None]
        count += inside
        seen = np.zeros(shape, bool)
        seen[tile.window] = True
        assert not (inside & ~seen).any()
        assert all(0 <= s.start < s.stop and s.stop - s.start <= side for s in tile.window)
    assert (count == 1).all()


def perfect(rgb: np.ndarray) -> AutoMasks:
    labels, number = ndimage.label(rgb[..., 0] > 0)
    return AutoMasks(labels.astype(np.int32), np.ones(number))


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(40, 90))
def test_objects_smaller_than_the_overlap_have_no_seams(seed: int, side: int) -> None:
    rng = np.random.default_rng(seed)
    rgb = np.zeros((150, 210, 3), np.uint8)
    largest = int(OVERLAP * side / 2) - 2
    for _ in range(60):
        row, col = rng.integers(0, 150), rng.integers(0, 210)
        high, wide = rng.integers(1, max(2, largest), 2)
        grown = rgb[max(0, row - 1) : row + high + 1, max(0, col - 1) : col + wide + 1]
        if not grown.any():
            rgb[row : row + high, col : col + wide] = 255
    whole, tiled = perfect(rgb).labels, stitched(rgb, side, lambda tiles: map(perfect, tiles))
    pairs = set(zip(whole.ravel().tolist(), tiled.labels.ravel().tolist(), strict=True))
    assert len(pairs) == len(np.unique(whole)) == len(np.unique(tiled.labels)) == len(tiled.confidence) + 1


def test_a_tile_is_no_larger_than_asked() -> None:
    seen: list[tuple[int, ...]] = []

    def segment(rgb: np.ndarray) -> AutoMasks:
        seen.append(rgb.shape)
        return perfect(rgb)

    stitched(np.zeros((300, 90, 3), np.uint8), 100, lambda tiles: map(segment, tiles))
    assert set(seen) == {(100, 90, 3)} and len(seen) == 4
