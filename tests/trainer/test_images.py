from __future__ import annotations

import os
from pathlib import Path

import h5py
import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from naslora_trainer.data import TrainingImage, read_snapshot, write_snapshot
from naslora_trainer.errors import UserError
from naslora_trainer.files import atomic_write, read_json, saving_folder, write_json
from naslora_trainer.images import list_images, paired, read_image, read_labels, to_rgb8


def test_gray_and_rgb_of_8_bit_pass_as_they_are() -> None:
    gray = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(to_rgb8(gray), np.stack([gray] * 3, axis=-1))
    rgb = np.random.default_rng(0).integers(0, 255, (3, 4, 3)).astype(np.uint8)
    assert np.array_equal(to_rgb8(rgb), rgb)
    rgba = np.dstack([rgb, np.full((3, 4), 7, np.uint8)])
    assert np.array_equal(to_rgb8(rgba), rgb)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([np.uint16, np.int16, np.float32, np.float64, bool]), st.integers(0, 2**31), st.booleans())
def test_other_numbers_are_stretched_to_8_bit(dtype: type, seed: int, broken: bool) -> None:
    rng = np.random.default_rng(seed)
    image = (rng.random((20, 15)) * 3000 - 50).astype(dtype)
    if broken and np.issubdtype(dtype, np.floating):
        image[0, :3] = [np.nan, np.inf, -np.inf]
    found = to_rgb8(image)
    assert found.dtype == np.uint8 and found.shape == (20, 15, 3)
    if dtype is not bool:
        assert found.min() < 10 and found.max() > 245


def test_contrast_limits_are_respected_and_a_flat_image_is_no_error() -> None:
    ramp = np.linspace(0, 1000, 101).reshape(1, 101)
    found = to_rgb8(ramp, (200, 400))[0, :, 0]
    assert found[20] == 0 and found[40] == 255 and abs(int(found[30]) - 128) <= 1
    assert to_rgb8(np.full((4, 4), 3.5)).shape == (4, 4, 3)
    assert to_rgb8(np.full((1, 1), np.nan)).shape == (1, 1, 3)


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n\x1a\nnope", b"II*\x00\xff\xff\xff\xff", b"GIF89a", b"just text"]
)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_an_unreadable_image_is_named(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"cell 1{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match="cell 1"):
        read_image(path)


def test_a_truncated_image_is_named(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    for name in ("a.png", "a.tif"):
        path = tmp_path / name
        iio.imwrite(path, image)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(UserError, match=name):
            read_image(path)


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "bomb.png", np.zeros((300, 300), np.uint8))
    tifffile.imwrite(tmp_path / "bomb.tif", np.zeros((300, 300), np.uint8), compression="zlib")
    for name in ("bomb.png", "bomb.tif"):
        with pytest.raises(UserError, match=name):
            read_image(tmp_path / name, max_pixels=1000)


def test_labels_of_every_kind(tmp_path: Path) -> None:
    for dtype in (np.uint8, np.uint16, np.int32, bool):
        path = tmp_path / f"{np.dtype(dtype).name}.tif"
        tifffile.imwrite(path, np.eye(9).astype(dtype))
        assert np.array_equal(read_labels(path), np.eye(9, dtype=np.int32)) and read_labels(path).dtype == np.int32
    tifffile.imwrite(tmp_path / "negative.tif", -np.eye(9).astype(np.int16))
    iio.imwrite(tmp_path / "color.png", np.random.default_rng(0).integers(0, 255, (9, 9, 3)).astype(np.uint8))
    for name in ("negative.tif", "color.png"):
        with pytest.raises(UserError, match=name):
            read_labels(tmp_path / name)


def test_folders_and_pairs(tmp_path: Path) -> None:
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    with pytest.raises(UserError, match="images"):
        list_images(images)
    for name in ("img10", "img2", ".hidden"):
        iio.imwrite(images / f"{name}.png", np.zeros((8, 8), np.uint8))
    assert [path.stem for path in list_images(images)] == ["img2", "img10"]
    iio.imwrite(masks / "img2.png", np.zeros((8, 8), np.uint8))
    with pytest.raises(UserError, match="img10"):
        paired(images, masks)
    iio.imwrite(masks / "img10.png", np.zeros((8, 9), np.uint8))
    with pytest.raises(UserError, match="img10.*8 x 9"):
        paired(images, masks)


def test_a_snapshot_comes_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = [
        TrainingImage(
            f"bild ä {i}",
            rng.integers(0, 255, (9, 5 + i, 3)).astype(np.uint8),
            np.eye(9, 5 + i, dtype=np.int32),
            i > 0,
            f"bild {i // 2}",
            ((0, 1, 9, 5), (2, 2, 3, 3))[:i],
            {1: "Zelle", 7: "Kern ä"} if i else {},
            ("Zelle", "ohne", "Kern ä") if i else (),
            1 + i,
            np.eye(9, 5 + i, 2, dtype=bool) if i else None,
        )
        for i in range(3)
    ]
    write_snapshot(tmp_path / "data.h5", images)
    for found, image in zip(read_snapshot(tmp_path / "data.h5"), images, strict=True):
        assert (found.name, found.complete, found.source) == (image.name, image.complete, image.source)
        assert found.rois == image.rois and found.classes == image.classes and found.step == image.step
        assert found.class_order == image.class_order
        assert (found.nothing is None) == (image.nothing is None)
        assert image.nothing is None or np.array_equal(found.nothing, image.nothing)
        assert np.array_equal(found.image, image.image) and np.array_equal(found.labels, image.labels)
    with h5py.File(tmp_path / "data.h5", "a") as file:  # as version 1 was
        file.attrs["version"] = 1
        for group in file.values():
            del group["rois"], group.attrs["source"], group.attrs["step"]
            if "classes" in group:
                del group["classes"]
    assert [(found.rois, found.source, found.step) for found in read_snapshot(tmp_path / "data.h5")] == [
        ((), "", 1)
    ] * 3
    with h5py.File(tmp_path / "data.h5", "a") as file:
        file["000000"].attrs["step"] = 0
    with pytest.raises(UserError, match="data.h5"):
        read_snapshot(tmp_path / "data.h5")
    with h5py.File(tmp_path / "data.h5", "a") as file:
        del file["000000"].attrs["step"]
        file["000000/rois"] = np.array([[0, 0, 10, 5]], "<i4")  # the image has 9 rows
    with pytest.raises(UserError, match="data.h5"):
        read_snapshot(tmp_path / "data.h5")
    (tmp_path / "data.h5").write_bytes((tmp_path / "data.h5").read_bytes()[:900])
    with pytest.raises(UserError, match="data.h5"):
        read_snapshot(tmp_path / "data.h5")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"x": 1})
    with pytest.raises(ZeroDivisionError), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert read_json(path) == {"x": 1} and [p.name for p in tmp_path.iterdir()] == ["a.json"]
    path.write_text("{")
    with pytest.raises(UserError, match="a.json"):
        read_json(path)


def test_a_folder_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.zarr"

    def write(text: str) -> None:
        with saving_folder(path) as temporary:
            (temporary / "deep").mkdir(parents=True)
            (temporary / "deep/file").write_text(text)
            if text == "broken":
                raise ValueError

    write("old")
    with pytest.raises(ValueError):
        write("broken")
    rename, calls = os.replace, []

    def fails(old: Path, new: Path) -> None:
        calls.append(old)
        if len(calls) == 2:
            raise OSError(28, "full")
        rename(old, new)

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(UserError, match="disk is full"):
        write("unlucky")
    assert (path / "deep/file").read_text() == "old" and os.listdir(tmp_path) == ["a.zarr"]
    write("new")
    assert (path / "deep/file").read_text() == "new" and os.listdir(tmp_path) == ["a.zarr"]
