from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from naslora_napari.demo.pictures import CAPTION, GAP, SIDE, Tile, overview


def test_the_tiles_are_side_by_side(tmp_path: Path) -> None:
    screenshot = tmp_path / "shot.png"
    picture = Image.new("RGB", (200, 100), "#ff0000")
    picture.paste("#0000ff", (100, 0, 200, 100))
    picture.save(screenshot)
    overview(
        tmp_path / "loop.png", [Tile(screenshot, (0, 0, 100, 100), "red"), Tile(screenshot, (100, 0, 200, 50), "")]
    )
    with Image.open(tmp_path / "loop.png") as made:
        assert made.size == (2 * SIDE + GAP, SIDE + CAPTION)
        pixels = made.convert("RGB")
        assert pixels.getpixel((SIDE // 2, SIDE // 2)) == (255, 0, 0)
        assert pixels.getpixel((SIDE + GAP + SIDE // 2, SIDE // 2)) == (0, 0, 255)
        assert pixels.getpixel((SIDE + GAP + SIDE // 2, 4)) == (255, 255, 255)  # a wide piece keeps its proportions


def test_an_overview_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tiles"):
        overview(tmp_path / "loop.png", [])
