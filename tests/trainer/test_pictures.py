from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from naslora_trainer.errors import UserError
from naslora_trainer.images import to_rgb8
from naslora_trainer.pictures import OVERVIEW, Picture, factor_of, open_picture, picture_of, picture_size, planes_of

SHAPE = (1500, 2100)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    rows, cols = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return np.stack([rows // 6 + 0 * cols, cols // 9 + 0 * rows, (rows + cols) % 251], axis=2).astype(np.uint8)


def write_zarr(folder: Path, levels: list[np.ndarray], axes: str, version: int = 2) -> Path:
    group = zarr.open_group(folder, mode="w", zarr_format=version)
    for number, level in enumerate(levels):
        chunks = tuple(min(256, size) for size in level.shape)
        group.create_array(str(number), shape=level.shape, chunks=chunks, dtype=level.dtype)[...] = level
    multiscale = {
        "axes": [{"name": name} for name in axes],
        "datasets": [{"path": str(number)} for number in range(len(levels))],
    }
    group.attrs.update({"multiscales": [multiscale]} if version == 2 else {"ome": {"multiscales": [multiscale]}})
    return folder


def with_axes(pixels: np.ndarray, axes: str) -> np.ndarray:
    """Return (H, W, C) with its axes in another order, and axes of length 1 for other names."""
    ordered = pixels.transpose(["yxc".index(name) for name in axes if name in "yxc"])
    return np.expand_dims(ordered, [axis for axis, name in enumerate(axes) if name not in "yxc"])


def tiled(path: Path, pixels: np.ndarray) -> None:
    tifffile.imwrite(path, pixels, tile=(256, 256), compression="zlib", photometric="rgb")


def strips(path: Path, pixels: np.ndarray) -> None:
    tifffile.imwrite(path, pixels, compression="lzw", photometric="rgb")


def planes(path: Path, pixels: np.ndarray) -> None:
    tifffile.imwrite(path, np.moveaxis(pixels, 2, 0), photometric="rgb", planarconfig="separate")


def pyramid(path: Path, pixels: np.ndarray) -> None:
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(pixels, tile=(256, 256), subifds=1, photometric="rgb")
        tiff.write(pixels[::2, ::2], tile=(256, 256), subfiletype=1, photometric="rgb")


@pytest.mark.parametrize("write", [tiled, strips, planes, pyramid])
def test_a_large_tiff_is_read_in_parts(write: Callable, pixels: np.ndarray, tmp_path: Path) -> None:
    write(tmp_path / "large.tif", pixels)
    picture = open_picture(tmp_path / "large.tif", whole_below=0)
    assert picture.in_parts and picture.shape == SHAPE == picture_size(tmp_path / "large.tif")
    window = (slice(700, 900), slice(1900, 2100))
    assert np.array_equal(picture.rgb8(window, 256), pixels[window])
    assert isinstance(picture.levels[-1], np.ndarray) and max(picture.levels[-1].shape) <= OVERVIEW + 26
    everything = (slice(0, SHAPE[0]), slice(0, SHAPE[1]))
    assert np.array_equal(picture.rgb8(everything, 600), pixels[::4, ::4])
    whole = open_picture(tmp_path / "large.tif")
    assert not whole.in_parts and np.array_equal(whole.rgb8(everything, 600), pixels[::4, ::4])


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("axes", ["yxc", "cyx", "tczyx"])
def test_an_ome_zarr_is_read_in_parts(axes: str, version: int, pixels: np.ndarray, tmp_path: Path) -> None:
    levels = [with_axes(pixels[::step, ::step], axes) for step in (1, 2, 4)]
    path = write_zarr(tmp_path / "large.ome.zarr", levels, axes, version)
    picture = open_picture(path)
    assert picture.shape == SHAPE == picture_size(path) and picture.in_parts
    window = (slice(20, 120), slice(0, 130))
    assert np.array_equal(picture.rgb8(window, 256), pixels[window])
    assert len(picture.levels) == 3


def test_sixteen_bits_get_the_same_limits_everywhere(tmp_path: Path) -> None:
    ramp = np.linspace(1000, 5000, 1200 * 1300).reshape(1200, 1300).astype(np.uint16)
    tifffile.imwrite(tmp_path / "ramp.tif", ramp, tile=(256, 256))
    picture = open_picture(tmp_path / "ramp.tif", whole_below=0)
    window = (slice(0, 1200), slice(0, 1300))
    assert picture.limits is not None
    assert np.array_equal(picture.rgb8(window, 2048), to_rgb8(ramp, picture.limits))
    part = (slice(600, 700), slice(5, 300))
    assert np.array_equal(picture.rgb8(part, 2048), picture.rgb8(window, 2048)[part])


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 1024))
def test_a_window_is_reduced_as_far_as_is_needed(height: int, width: int, most: int) -> None:
    factor = factor_of((slice(0, height), slice(0, width)), most)
    side = max(height, width)
    assert -(-side // factor) <= most and (factor == 1 or -(-side // (factor // 2)) > most)


def test_only_what_is_asked_for_is_read() -> None:
    read = []

    def block(block_info: dict | None = None) -> np.ndarray:
        assert block_info is not None
        read.append(block_info[None]["chunk-location"])
        return np.zeros((256, 256), np.uint8)

    lazy = da.map_blocks(block, chunks=((256,) * 8, (256,) * 8), dtype=np.uint8)
    Picture((lazy,)).rgb8((slice(300, 400), slice(600, 700)), 256)
    assert set(read) <= {(1, 2), (0, 0)} and len(read) <= 2


def test_small_images_are_in_memory(pixels: np.ndarray, tmp_path: Path) -> None:
    tiled(tmp_path / "small.tif", pixels)
    assert not open_picture(tmp_path / "small.tif").in_parts
    assert picture_of(pixels[:100, :100]).levels[0].shape == (100, 100, 3)


def test_hostile_and_foreign_files(tmp_path: Path) -> None:
    stack = write_zarr(tmp_path / "stack.zarr", [np.zeros((5, 64, 64), np.uint8)], "zyx")
    with pytest.raises(UserError, match="no plane"):
        open_picture(stack)
    group = zarr.open_group(tmp_path / "bare.zarr", mode="w", zarr_format=2)
    with pytest.raises(UserError, match="multiscales"):
        open_picture(tmp_path / "bare.zarr")
    group.attrs["multiscales"] = [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "../other"}]}]
    with pytest.raises(UserError, match="outside itself"):
        open_picture(tmp_path / "bare.zarr")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(UserError):
        open_picture(tmp_path / "empty.zarr")
    with pytest.raises(UserError, match="does not exist"):
        open_picture(tmp_path / "gone.tif")


def test_a_codec_that_runs_code_is_refused(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "evil.zarr", [np.zeros((64, 64), np.uint8)], "yx")
    metadata = json.loads((path / "0" / ".zarray").read_text())
    for key, value in (("compressor", {"id": "pickle"}), ("filters", [{"id": "pickle"}])):
        (path / "0" / ".zarray").write_text(json.dumps({**metadata, key: value}))
        with pytest.raises(UserError, match=r"not numbers|could not be read"):
            open_picture(path)


def test_a_chunk_that_fills_the_memory_is_refused(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "bomb.zarr", [np.zeros((64, 64), np.uint8)], "yx")
    metadata = json.loads((path / "0" / ".zarray").read_text())
    (path / "0" / ".zarray").write_text(json.dumps({**metadata, "shape": [20000, 40000], "chunks": [20000, 40000]}))
    with pytest.raises(UserError, match="512 MB"):
        open_picture(path, max_pixels=10**9)


def test_a_cut_off_tiff_is_refused(pixels: np.ndarray, tmp_path: Path) -> None:
    tiled(tmp_path / "cut.tif", pixels)
    content = (tmp_path / "cut.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(UserError):
        open_picture(tmp_path / "cut.tif", whole_below=0)


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_frames_of_an_animation_are_planes(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"growth.{suffix}"
    frames = [Image.fromarray(np.full((6, 8, 3), 40 * k, np.uint8)) for k in range(1, 4)]
    frames[0].save(path, save_all=True, append_images=frames[1:], **({"lossless": True} if suffix == "webp" else {}))
    assert planes_of(path) == ("t", (3,)) and picture_size(path) == (6, 8)
    assert [int(open_picture(path, (k,)).whole()[0, 0, 0]) for k in range(3)] == [40, 80, 120]
    assert open_picture(path).whole()[0, 0, 0] == 40
    with pytest.raises(UserError):
        open_picture(path, (3,))
    frames[0].save(path, save_all=True)
    assert planes_of(path) == ("", ())
