"""The sample tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from naslora_resources.samples import PARTS, sample_folder


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def tile_names(part: str, kind: str) -> list[str]:
    return sorted(path.name for path in (sample_folder(part) / kind).iterdir())


def test_the_halves_have_eight_tiles_each_and_share_none() -> None:
    labelled, held_out = (tile_names(part, "images") for part in PARTS)
    assert len(labelled) == len(held_out) == 8
    assert not set(labelled) & set(held_out)


@pytest.mark.parametrize("part", PARTS)
def test_images_and_masks_fit(part: str) -> None:
    folder = sample_folder(part)
    assert tile_names(part, "images") == tile_names(part, "masks")
    for name in tile_names(part, "images"):
        image, labels = read(folder / "images" / name), read(folder / "masks" / name)
        assert image.shape == labels.shape == (128, 128)
        assert image.dtype == np.uint8 and labels.dtype == np.uint16
        sizes = np.bincount(labels.ravel())
        assert len(sizes) > 5 and sizes[1:].min() >= 20, name
        assert image[labels > 0].mean() > image[labels == 0].mean() + 30, name


def test_the_tiles_are_small_and_carry_their_notice() -> None:
    samples = sample_folder("labelled").parent
    assert sum(path.stat().st_size for path in samples.rglob("*.png")) < 1_500_000
    assert "Uwe Schmidt, Martin Weigert" in (samples / "NOTICE").read_text(encoding="utf-8")


def test_an_unknown_part_is_named() -> None:
    with pytest.raises(ValueError, match="'training'.*labelled, held_out"):
        sample_folder("training")
