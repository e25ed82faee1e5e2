"""Layouts and encodings of image files as instruments, phones and other programs write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from naslora_trainer.errors import UserError
from naslora_trainer.images import image_size, read_image, read_labels, to_rgb8

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 255, (12, 17)).astype(np.uint8)
RGB = RNG.integers(0, 255, (12, 17, 3)).astype(np.uint8)


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_channels_first_and_last_are_the_same_image(tmp_path: Path, channels: int, dtype: type) -> None:
    image = RNG.integers(0, 255, (12, 17, channels)).astype(dtype)
    tifffile.imwrite(tmp_path / "first.tif", np.moveaxis(image, 2, 0), photometric="minisblack")
    tifffile.imwrite(tmp_path / "last.tif", image, photometric="minisblack")
    for name in ("first.tif", "last.tif"):
        assert np.array_equal(read_image(tmp_path / name), image)
        assert image_size(tmp_path / name) == (12, 17)
    assert np.array_equal(to_rgb8(np.moveaxis(image, 2, 0)), to_rgb8(image))


def test_two_channels_become_red_and_green() -> None:
    found = to_rgb8(RGB[..., :2])
    assert np.array_equal(found[..., :2], RGB[..., :2]) and not found[..., 2].any()


def test_axes_of_one_are_dropped(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GRAY[None, None].astype(np.uint16), imagej=True)
    assert np.array_equal(read_image(tmp_path / "a.tif"), GRAY)


def test_one_row_of_pixels_is_an_image(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GRAY[:1])
    assert read_image(tmp_path / "a.tif").shape == image_size(tmp_path / "a.tif") == (1, 17)


def test_a_stack_is_named(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((7, 12, 17), np.uint8), photometric="minisblack")
    for read in (read_image, image_size, read_labels):
        with pytest.raises(UserError, match="stack.tif.*7 x 12 x 17"):
            read(tmp_path / "stack.tif")


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiffs_are_read(tmp_path: Path, compression: str) -> None:
    for image in (GRAY, RGB, GRAY.astype(np.uint16) * 200):
        Image.fromarray(image).save(tmp_path / "a.tif", compression=compression)
        assert np.array_equal(read_image(tmp_path / "a.tif"), image)


@pytest.mark.parametrize("suffix", ["png", "tif", "gif"])
def test_a_palette_is_colours_in_an_image_and_labels_in_a_mask(tmp_path: Path, suffix: str) -> None:
    indices = (GRAY % 4).astype(np.uint8)
    image = Image.fromarray(indices).convert("P")
    image.putdata(indices.ravel().tolist())
    palette = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0), (9, 8, 7)], np.uint8)
    image.putpalette(palette.tobytes())
    path = tmp_path / f"a.{suffix}"
    image.save(path, optimize=False)
    assert np.array_equal(read_image(path), palette[indices])
    if suffix != "gif":  # its encoder reorders the palette
        assert np.array_equal(read_labels(path), indices)


def test_pillow_modes(tmp_path: Path) -> None:
    expected = {"1": bool, "L": np.uint8, "LA": np.uint8, "RGB": np.uint8, "RGBA": np.uint8, "I;16": np.uint16}
    for mode, dtype in expected.items():
        source = Image.fromarray(GRAY.astype(np.uint16)) if mode == "I;16" else Image.fromarray(RGB).convert(mode)
        source.save(tmp_path / "a.png")
        found = read_image(tmp_path / "a.png")
        assert found.dtype == dtype and found.shape[:2] == (12, 17)
        assert to_rgb8(found).shape == (12, 17, 3)


def test_a_photograph_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), np.rot90(RGB, -1))
    assert image_size(tmp_path / "a.png") == (17, 12)


def test_the_content_decides_not_the_suffix(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.tif")
    assert np.array_equal(read_image(tmp_path / "a.tif"), GRAY)


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf, 2.0**31])
def test_float_labels_must_be_whole(tmp_path: Path, value: float) -> None:
    labels = np.zeros((3, 4))
    labels[0, 0] = 7
    tifffile.imwrite(tmp_path / "a.tif", labels)
    assert read_labels(tmp_path / "a.tif")[0, 0] == 7
    labels[1, 1] = value
    tifffile.imwrite(tmp_path / "a.tif", labels)
    with pytest.raises(UserError, match="a.tif"):
        read_labels(tmp_path / "a.tif")


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    for name, words in (("folder.png", "is a folder"), ("gone.png", "does not exist")):
        with pytest.raises(UserError, match=f"{name} {words}"):
            read_image(tmp_path / name)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 4, 3), (4,), (2, 3, 4, 5), (5, 6, 7)])
def test_what_is_no_plane_is_no_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError):
        to_rgb8(np.zeros(shape, np.float32))


def test_extreme_numbers_are_scaled_without_overflow() -> None:
    image = np.array([[-1e308, 0.0, 1e308]])
    assert to_rgb8(image, (-1e308, 1e308))[0, :, 0].tolist() == [0, 128, 255]
    with pytest.raises(UserError, match="complex"):
        to_rgb8(image.astype(complex))


def test_damaged_images_are_a_sentence_or_an_image(tmp_path: Path) -> None:
    for suffix in ("png", "tif", "jpg"):
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(GRAY).save(path)
        data = path.read_bytes()
        for _ in range(40):
            mutated = bytearray(data[: int(RNG.integers(len(data)))] if RNG.random() < 0.3 else data)
            for _ in range(int(RNG.integers(1, 6)) if mutated else 0):
                mutated[int(RNG.integers(len(mutated)))] = int(RNG.integers(256))
            path.write_bytes(mutated)
            try:
                assert read_image(path, max_pixels=10**6).size
            except UserError as error:
                assert path.name in str(error)
