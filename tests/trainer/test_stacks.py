"""Stacks and time series: each plane is an image of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from naslora_trainer.errors import UserError
from naslora_trainer.images import read_image
from naslora_trainer.pictures import open_picture, picture_size, planes_of

from .test_pictures import write_zarr

STACK = np.arange(2 * 6 * 40 * 50, dtype=np.uint16).reshape(2, 6, 40, 50)


def plain(path: Path) -> None:
    tifffile.imwrite(path, STACK[0])


def named(path: Path) -> None:
    tifffile.imwrite(path, STACK[0], metadata={"axes": "ZYX"}, imagej=False, ome=True)


def hyperstack(path: Path) -> None:
    tifffile.imwrite(path, STACK, imagej=True, metadata={"axes": "TZYX"})


def pages(path: Path) -> None:
    with tifffile.TiffWriter(path) as tiff:
        for plane in STACK[0]:
            tiff.write(plane, contiguous=False, metadata=None)  # as other programs do


@pytest.mark.parametrize(
    ("write", "axes", "sizes"),
    [(plain, "q", (6,)), (named, "z", (6,)), (hyperstack, "tz", (2, 6)), (pages, "i", (6,))],
)
def test_planes_of_a_tiff(write, axes: str, sizes: tuple[int, ...], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "stack.tif"
    write(path)
    found, lengths = planes_of(path)
    assert lengths == sizes and (found == axes or axes in "qi")
    assert picture_size(path) == (40, 50)
    plane = (1, 4) if len(sizes) == 2 else (4,)
    wanted = STACK[plane] if len(sizes) == 2 else STACK[0, 4]
    assert np.array_equal(open_picture(path, plane).levels[0], wanted)
    lazy = open_picture(path, plane, whole_below=0)
    assert lazy.in_parts and np.array_equal(np.asarray(lazy.levels[0][3:9, 5:20]), wanted[3:9, 5:20])


def test_few_named_planes_are_planes_and_few_unnamed_ones_channels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "z.tif", STACK[0, :3], imagej=True, metadata={"axes": "ZYX"})
    assert planes_of(tmp_path / "z.tif") == ("z", (3,))
    tifffile.imwrite(tmp_path / "c.tif", STACK[0, :3].astype(np.uint8), photometric="rgb", planarconfig="separate")
    assert planes_of(tmp_path / "c.tif") == ("", ())
    assert open_picture(tmp_path / "c.tif").levels[0].shape == (40, 50, 3)


def test_channels_of_a_stack_stay_with_their_plane(tmp_path: Path) -> None:
    colours = np.moveaxis(STACK, 0, 1)  # z, c, y, x
    tifffile.imwrite(tmp_path / "zc.tif", colours, imagej=True, metadata={"axes": "ZCYX"})
    assert planes_of(tmp_path / "zc.tif") == ("z", (6,))
    shown = open_picture(tmp_path / "zc.tif", (5,)).levels[0]
    for channel in (0, 1):
        alone = open_picture(tmp_path / "zc.tif", (5,), channels=(channel,))
        assert np.array_equal(alone.levels[0], colours[5, channel])
        assert np.array_equal(alone.whole()[..., 0], shown[..., channel])
    assert not shown[..., 2].any()


def test_planes_of_an_ome_zarr(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "stack.zarr", [STACK[:, None], STACK[:, None, :, ::2, ::2]], "tczyx")
    assert planes_of(path) == ("tz", (2, 6)) and picture_size(path) == (40, 50)
    picture = open_picture(path, (1, 2), whole_below=0)
    assert np.array_equal(np.asarray(picture.levels[0]), STACK[1, 2]) and len(picture.levels) == 2


def test_a_plane_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    hyperstack(tmp_path / "stack.tif")
    for plane in ((), (1,), (2, 0), (-1, 0), (0, 6)):
        with pytest.raises(UserError, match="no plane"):
            open_picture(tmp_path / "stack.tif", plane)
    tifffile.imwrite(tmp_path / "one.tif", STACK[0, 0])
    with pytest.raises(UserError, match="no plane 3"):
        open_picture(tmp_path / "one.tif", (3,))
    with pytest.raises(UserError, match="not a plane"):
        read_image(tmp_path / "stack.tif")
