"""What is written of the size of pixels is what our own reader and ImageJ's part of tifffile read."""

from __future__ import annotations

import io
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from naslora_napari.store import Project
from naslora_napari.store.formats import export_project
from naslora_napari.store.formats.scale import png_scale, write_tiff
from naslora_trainer.pictures import planes_of
from naslora_trainer.pixel_size import pixel_size, voxel_depth

SIDES = st.floats(1e-5, 1e6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["yx", "yxs", "zyx", "tyx", "tzyx", "zyxs"]),
    st.sampled_from([np.uint8, np.uint16, np.int32]),
    st.none() | st.tuples(SIDES, SIDES),
    st.none() | SIDES,
    st.sampled_from([None, 16]),
)
def test_the_size_of_a_pixel_comes_back(
    tmp_path: Path, axes: str, dtype: type, side: tuple[float, float] | None, depth: float | None, tile: int | None
) -> None:
    path, dtype = tmp_path / "a.tif", np.uint8 if axes.endswith("s") else dtype
    tile = tile if axes == "yx" else None
    shape = tuple({"t": 2, "z": 3, "y": 17, "x": 20, "s": 3}[axis] for axis in axes)
    pixels = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    write_tiff(path, pixels, shape, dtype, axes, side, depth, tile)
    assert np.array_equal(tifffile.imread(path), pixels) and planes_of(path)[0] == axes.split("y")[0]
    assert pixel_size(path) == (None if side is None else pytest.approx(side, rel=1e-6))
    told, deep = tifffile.TiffFile(path).imagej_metadata, side is not None and depth is not None and "z" in axes
    assert (told is None) == (dtype == np.int32 or tile is not None)
    assert voxel_depth(path) == (pytest.approx(depth) if told and deep else None)
    if told:
        assert (told.get("slices", 1), told.get("frames", 1)) == (3 if "z" in axes else 1, 2 if "t" in axes else 1)
        assert (told.get("unit"), "spacing" in told) == ("um" if side else None, deep)


def test_axes_that_imagej_does_not_have_are_kept(tmp_path: Path) -> None:
    for axes in ("qyx", "ztyx"):
        shape = (2, 3, 4, 5)[-len(axes) :]
        write_tiff(tmp_path / "a.tif", np.zeros(shape, np.uint8), shape, np.uint8, axes, (0.5, 0.25))
        with tifffile.TiffFile(tmp_path / "a.tif") as found:
            assert found.series[0].axes == axes.upper() and not found.is_imagej
        assert pixel_size(tmp_path / "a.tif") == pytest.approx((0.5, 0.25))


@given(st.tuples(SIDES, SIDES))
def test_a_png_says_what_it_can(side: tuple[float, float]) -> None:
    image = Image.open(
        io.BytesIO(iio.imwrite("<bytes>", np.zeros((2, 3), np.uint16), extension=".png", **png_scale(side)))
    )
    image.load()
    if "dpi" in image.info:
        assert [25400 / n for n in reversed(image.info["dpi"])] == pytest.approx(side, rel=2e-3)
    else:
        assert png_scale(side) == {} and (min(side) < 1e-3 or max(side) > 1e3)


def test_labels_of_a_project_have_the_size_of_its_images(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((20, 30), np.uint8), imagej=True, resolution=(4, 2), metadata={"unit": "um"}
    )
    project = Project.create(tmp_path / "p.naslora", [tmp_path / "a.tif"])
    project.import_labels("a", np.pad(np.ones((5, 5), np.int32), ((0, 15), (0, 25))), complete=False)
    for format, where in (("labels", ["a.tif"]), ("pairs", ["images/a.tif", "masks/a.tif"])):
        export_project(project, format, tmp_path / format)
        for path in where:
            assert pixel_size(tmp_path / format / path) == pytest.approx((0.5, 0.25))
