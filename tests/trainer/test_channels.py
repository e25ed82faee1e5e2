from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr

from naslora_trainer.channels import NONE, Channels, composite
from naslora_trainer.errors import UserError
from naslora_trainer.lazy import MOST_CHANNELS
from naslora_trainer.pictures import choice_of, open_picture, picture_of

#: Five dyes of very different brightness.
DYES = np.stack([np.arange(48 * 64).reshape(48, 64) * (i + 1) ** 2 % 60000 // (1 + 10 * i) for i in range(5)])
DYES = DYES.astype(np.uint16)
NAMES = ["DAPI", "GFP", "mCherry", "Cy5", "bright field"]


def ome_tiff(folder: Path) -> Path:
    tifffile.imwrite(folder / "a.ome.tif", DYES, metadata={"axes": "CYX", "Channel": {"Name": NAMES}})
    return folder / "a.ome.tif"


def imagej(folder: Path) -> Path:
    tifffile.imwrite(folder / "a.tif", DYES, imagej=True, metadata={"axes": "CYX", "Labels": NAMES})
    return folder / "a.tif"


def ome_zarr(folder: Path) -> Path:
    group = zarr.open_group(folder / "a.ome.zarr", mode="w", zarr_format=2)
    group.create_array("0", shape=DYES.shape, chunks=(1, 32, 32), dtype=DYES.dtype)[...] = DYES
    axes = [{"name": name} for name in "cyx"]
    omero = {"channels": [{"label": name} for name in NAMES]}
    group.attrs.update({"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}], "omero": omero})
    return folder / "a.ome.zarr"


FORMATS = [ome_tiff, imagej, ome_zarr]


@pytest.mark.parametrize("write", FORMATS)
def test_each_channel_has_its_name_and_its_own_contrast(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path)
    assert choice_of(path) == tuple(NAMES)
    shown = open_picture(path, channels=(3, NONE, 1)).whole()
    for place, channel in ((0, 3), (2, 1)):
        alone = open_picture(path, channels=(channel,))
        assert alone.levels[0].ndim == 2 and alone.levels[0].dtype == np.uint16
        assert np.array_equal(np.asarray(alone.levels[0]), DYES[channel])
        assert np.array_equal(shown[..., place], alone.whole()[..., 0])
        assert shown[..., place].min() == 0 and shown[..., place].max() == 255
    assert not shown[..., 1].any()
    assert np.array_equal(open_picture(path).whole(), open_picture(path, channels=(0, 1, 2)).whole())


@pytest.mark.parametrize("channels", [(5,), (0, 1), (NONE, NONE, NONE), (0, -2, 1)])
def test_channels_that_are_not_there_are_a_sentence(channels: Channels, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not have the channels"):
        open_picture(ome_tiff(tmp_path), channels=channels)


def test_colours_of_a_camera_are_no_choice(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((40, 50, 3), np.uint8), photometric="rgb")
    assert choice_of(tmp_path / "rgb.tif") == ()


def test_too_many_channels_are_refused(tmp_path: Path) -> None:
    many = np.zeros((MOST_CHANNELS + 1, 8, 9), np.uint8)
    tifffile.imwrite(tmp_path / "many.ome.tif", many, metadata={"axes": "CYX"})
    with pytest.raises(UserError, match="more than 64 channels"):
        open_picture(tmp_path / "many.ome.tif")


@pytest.mark.parametrize(("size", "dtype"), [(2, np.uint8), (2, np.uint16), (3, np.uint16), (4, np.float32)])
def test_what_napari_would_not_draw_is_made_8_bit(size: int, dtype: type) -> None:
    image = (np.arange(30 * 40 * size).reshape(30, 40, size) % 200).astype(dtype)
    shown = picture_of(image).levels[0]
    assert shown.dtype == np.uint8 and shown.shape == (30, 40, 3)
    assert size > 2 or not shown[..., 2].any()


def test_parts_are_what_the_whole_is() -> None:
    image = np.moveaxis(DYES, 0, 2)
    parts = composite((da.from_array(image, chunks=(16, 20, 2)), image[::2, ::2]), (0, 4, 2), apart=True)
    whole = composite((image, image[::2, ::2]), (0, 4, 2), apart=True)
    assert np.array_equal(np.asarray(parts[0]), whole[0]) and np.array_equal(parts[1], whole[1])
