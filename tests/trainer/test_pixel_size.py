from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from naslora_trainer.pictures import open_picture
from naslora_trainer.pixel_size import pixel_size, voxel_depth

from .test_pictures import write_zarr

PLANE = np.zeros((40, 50), np.uint8)


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ({"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}}, (0.5, 0.25)),
        (
            {"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm",
             "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "mm"}},
            (500, 0.25),
        ),
        ({"imagej": True, "resolution": (4.0, 2.0), "metadata": {"unit": "um"}}, (0.5, 0.25)),
        ({"resolution": (100, 50), "resolutionunit": "CENTIMETER"}, (200, 100)),
        ({"resolution": (1, 1), "resolutionunit": "NONE"}, None),
        ({"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 0, "PhysicalSizeY": 0.5}}, None),
        ({"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": -1.0, "PhysicalSizeY": 1e30}}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_pixels_of_a_tiff(how: dict[str, Any], wanted: tuple[float, float] | None, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PLANE, **how)
    found = pixel_size(tmp_path / "a.tif")
    assert (found is None and wanted is None) or found == pytest.approx(wanted, rel=1e-4)
    assert open_picture(tmp_path / "a.tif").pixel_size == found


def test_pixels_of_an_ome_zarr(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "a.zarr", [PLANE], "yx")
    assert pixel_size(path) is None
    group = zarr.open_group(path, mode="r+")
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "yx"]
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [500, 250]}]}]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": datasets}]
    assert pixel_size(path) == pytest.approx((0.5, 0.25)) == open_picture(path).pixel_size
    datasets[0]["coordinateTransformations"] = [{"type": "scale", "scale": ["nan", 250]}]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": datasets}]
    assert pixel_size(path) is None


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ({"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeZ": 800, "PhysicalSizeZUnit": "nm"}}, 0.8),
        ({"imagej": True, "metadata": {"axes": "ZYX", "unit": "um", "spacing": 2.5}}, 2.5),
        ({"imagej": True, "metadata": {"axes": "ZYX", "unit": "furlong", "spacing": 2.5}}, None),
        ({"imagej": True, "metadata": {"axes": "ZYX", "unit": "um"}}, None),
        ({"photometric": "minisblack", "resolution": (100, 50), "resolutionunit": "CENTIMETER"}, None),
    ],
)
def test_the_depth_of_a_voxel(how: dict[str, Any], wanted: float | None, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([PLANE] * 3), **how)
    assert voxel_depth(tmp_path / "a.tif") == (None if wanted is None else pytest.approx(wanted))


def test_what_is_no_image_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0broken")
    assert pixel_size(tmp_path / "a.tif") is None and pixel_size(tmp_path / "gone.tif") is None
