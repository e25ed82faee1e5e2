"""Large images are read, measured and written part by part, with the same results and little memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from scipy import ndimage
from skimage.segmentation import find_boundaries

from naslora_napari.batch import masks, measure, sources, tiling, writing
from naslora_napari.batch.masks import AutoMasks
from naslora_napari.batch.ngff import Layout
from naslora_napari.batch.results import Wanted
from naslora_napari.batch.sources import Parts, open_source
from naslora_napari.batch.writing import OUTLINE, Pages, overlay, write_files
from naslora_trainer.errors import UserError
from naslora_trainer.images import read_labels


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts as large, and how much is done at once, is small."""
    for module, name in ((sources, "LARGE"), (writing, "LARGE"), (writing, "BAND"), (measure, "BAND"), (masks, "PART")):
        monkeypatch.setattr(module, name, 1 << 16)


def image_of(height: int, width: int, channels: int = 3) -> np.ndarray:
    rows, cols = np.mgrid[:height, :width]
    disks = ((rows % 150 - 70) ** 2 + (cols % 130 - 60) ** 2 < 40**2).astype(np.uint8)
    return np.repeat(200 * disks[..., None], channels, axis=2) + (cols % 7).astype(np.uint8)[..., None]


def threshold(rgb: np.ndarray) -> AutoMasks:
    labels, count = ndimage.label(rgb[..., 0] > 100)
    return AutoMasks(labels.astype(np.int32), np.linspace(1, 0.5, count))


def write_zarr(path: Path, image: np.ndarray, axes: str) -> None:
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", shape=image.shape, chunks=(100, 100, *image.shape[2:]), dtype=image.dtype)[:] = image
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.5] * image.ndim}]}]
    group.attrs["multiscales"] = [
        {"version": "0.4", "axes": [{"name": a, "unit": "micrometer"} for a in axes], "datasets": datasets}
    ]


@pytest.mark.parametrize("kind", ["tiled.tif", "plain.png", "folder.zarr"])
def test_a_part_is_what_it_is_of_the_whole(tmp_path: Path, small_parts: None, kind: str) -> None:
    import imageio.v3 as iio

    path, image = tmp_path / kind, image_of(300, 400)
    if path.suffix == ".tif":
        tifffile.imwrite(path, image, tile=(64, 64), compression="zlib")
    elif path.suffix == ".png":
        iio.imwrite(path, image)
    else:
        image = image[..., 0]
        write_zarr(path, image, "yx")
    source = open_source(path)
    assert isinstance(source.rgb, Parts) and source.rgb.shape == (300, 400, 3) and source.values.shape == image.shape
    assert isinstance(source.values, np.ndarray) == (path.suffix == ".png")
    colours = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    for window in (np.s_[:, :], np.s_[37:290, 5:6], np.s_[290:999, :40]):
        assert np.array_equal(source.rgb[window], colours[window])


def test_a_stack_is_no_image(tmp_path: Path, small_parts: None) -> None:
    write_zarr(tmp_path / "stack.zarr", np.zeros((100, 100, 5), np.uint8), "yxz"[::-1])
    with pytest.raises(UserError, match="stack of planes"):
        open_source(tmp_path / "stack.zarr")


def test_outlines_have_no_seams(small_parts: None) -> None:
    image = image_of(700, 410)
    labels = threshold(image).labels
    expected = image.copy()
    expected[find_boundaries(labels, mode="inner")] = OUTLINE
    assert np.array_equal(overlay(image, labels), expected)


def test_memory_is_that_of_the_labels_and_the_results_are_the_same(tmp_path: Path, small_parts: None) -> None:
    path, image = tmp_path / "large.tif", image_of(1500, 1300)
    tifffile.imwrite(path, image, tile=(256, 256), compression="zlib")
    wanted = Wanted(tmp_path / "out")

    def segment(rgb: np.ndarray | Parts, values: object) -> list[dict[str, object]]:
        found = tiling.stitched(rgb, 256, lambda tiles: map(threshold, tiles))
        rows = measure.measure("large.tif", values, found.labels, found.confidence)
        pages = Pages(
            Layout(found.labels.shape), lambda: iter([found.labels]), lambda: iter([rgb]), int(found.labels.max())
        )
        write_files(wanted, "large.tif", pages)
        return rows

    tifffile.imwrite(tmp_path / "warm.tif", image[:300, :300], tile=(64, 64))
    warm = open_source(tmp_path / "warm.tif")
    segment(warm.rgb, warm.values)  # what is imported and kept
    tracemalloc.start()
    source = open_source(path)
    rows = segment(source.rgb, source.values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    pixels = image.shape[0] * image.shape[1]
    assert peak < 8 * pixels  # labels are 4 bytes; image, colours and one mask per object would be 8 and more
    labels = read_labels(tmp_path / "out/large.tif")
    whole = threshold(image).labels
    pairs = set(zip(whole.ravel().tolist(), labels.ravel().tolist(), strict=True))
    assert len(pairs) == len(np.unique(whole)) == len(rows) + 1
    for row, again in zip(rows, measure.measure("large.tif", image, labels, np.ones(len(rows))), strict=True):
        assert row["area"] == again["area"] and row["intensity_mean"] == pytest.approx(again["intensity_mean"])
