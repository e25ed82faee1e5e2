"""Small pictures of images, kept in the cache of a project."""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from naslora_trainer.files import atomic_write, keep_newest
from naslora_trainer.pictures import Picture

from .records import ImageEntry

log = logging.getLogger("naslora_napari")

#: Longest side in pixels.
SIDE = 64
#: So many are kept; the oldest are removed first.
MOST = 20_000
#: A larger file is none of these, in bytes.
LARGEST_FILE = 2**20


class Thumbnails:
    """Thumbnails in a folder, which is always safe to delete.

    Parameters
    ----------
    folder : Path
        Where they are; it is made when it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, entry: ImageEntry) -> np.ndarray | None:
        """Return the thumbnail of an image, ``(h, w, 3)`` uint8; None where none was kept."""
        path = self._path(entry)
        try:
            if path.stat().st_size > LARGEST_FILE:
                return None
            with Image.open(path, formats=["PNG"]) as image:
                if max(image.size) > SIDE:
                    return None
                return np.asarray(image.convert("RGB"))
        except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
            return None

    def make(self, entry: ImageEntry, picture: Picture) -> np.ndarray:
        """Return the thumbnail of an image as the models see it, and keep it."""
        height, width = picture.shape
        pixels = picture.rgb8((slice(0, height), slice(0, width)), 4 * SIDE)
        small = Image.fromarray(pixels)
        small.thumbnail((SIDE, SIDE))
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._path(entry)) as temporary:
                small.save(temporary, "PNG")
        return np.asarray(small)

    def prune(self, most: int = MOST) -> None:
        """Remove the oldest ones when there are too many."""
        try:
            keep_newest(self._folder, ".png", most)
        except OSError as error:
            log.info("The thumbnails were not looked through: %s", error)

    def _path(self, entry: ImageEntry) -> Path:
        what = f"{entry.content or entry.path}|{entry.plane}|{entry.limits}|{entry.channels}"
        return self._folder / f"{hashlib.sha256(what.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}.png"
