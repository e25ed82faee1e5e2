"""The loop in one small picture, cut out of the screenshots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from naslora_trainer.files import saving

Frame = tuple[int, int, int, int]
#: Side of a tile, space between tiles, and height of its caption, in pixels.
SIDE, GAP, CAPTION = 360, 16, 44
INK, PAPER = "#1c2733", "#ffffff"


@dataclass(frozen=True)
class Tile:
    """A piece of a screenshot.

    Attributes
    ----------
    picture : Path
        The screenshot.
    frame : tuple of int
        (left, top, right, bottom) in its pixels.
    caption : str
        A few words.
    """

    picture: Path
    frame: Frame
    caption: str


def overview(path: Path, tiles: Sequence[Tile]) -> None:
    """Write the tiles side by side, each a square of :data:`SIDE` pixels with its caption below.

    Raises
    ------
    ValueError
        There are no tiles.
    UserError
        The picture cannot be written.
    """
    if not tiles:
        raise ValueError("an overview needs tiles")
    sheet = Image.new("RGB", (len(tiles) * (SIDE + GAP) - GAP, SIDE + CAPTION), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=22)
    for number, tile in enumerate(tiles):
        left = number * (SIDE + GAP)
        with Image.open(tile.picture) as picture:
            piece = picture.convert("RGB").crop(tile.frame)
        piece = fitted(piece)
        sheet.paste(piece, (left + (SIDE - piece.width) // 2, (SIDE - piece.height) // 2))
        draw.text((left + SIDE // 2, SIDE + CAPTION // 2), tile.caption, fill=INK, font=font, anchor="mm")
    with saving(path) as temporary:
        sheet.save(temporary, "PNG", optimize=True)


def fitted(piece: Image.Image) -> Image.Image:
    """Return the picture scaled to fit into a tile."""
    scale = SIDE / max(piece.size)
    size = (max(1, round(piece.width * scale)), max(1, round(piece.height * scale)))
    return piece.resize(size, Image.Resampling.LANCZOS)
