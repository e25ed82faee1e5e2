"""Images to be segmented: small ones in memory, of large ones the part that is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from naslora_trainer.decode import MAX_PIXELS, is_tiff, is_zarr
from naslora_trainer.errors import UserError
from naslora_trainer.images import image_size, read_image, to_rgb8
from naslora_trainer.lazy import open_lazily
from naslora_trainer.pictures import Picture, open_picture, picture_of

#: An image of more pixels is shown to the model part by part, and read so where its file allows that.
LARGE = 1 << 24


@dataclass(frozen=True)
class Source:
    """An image.

    Attributes
    ----------
    values : array
        (H, W) or (H, W, C) as stored; numpy, or dask where parts are read on demand.
    rgb : ndarray or Parts
        (H, W, 3) uint8 as the models see it; ``rgb[rows, cols]`` is a part of it.
    """

    values: Any
    rgb: Any


class Parts:
    """An image (H, W, 3) uint8 of which parts are made when they are asked for."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self.shape = (*picture.shape, 3)

    def __getitem__(self, window: tuple[slice, slice]) -> np.ndarray:
        """Return rows and columns of the image."""
        rows, cols = (slice(*part.indices(size)[:2]) for part, size in zip(window, self.shape, strict=False))
        return self._picture.rgb8((rows, cols), max(self.shape))


def open_source(path: Path) -> Source:
    """Open an image file, or an OME-Zarr folder that holds one plane.

    Raises
    ------
    UserError
        As :func:`naslora_trainer.images.read_image`, or the folder holds planes.
    """
    if is_zarr(path) or (is_tiff(path) and np.prod(image_size(path)) > LARGE):
        opened = open_lazily(path, MAX_PIXELS)
        if opened is not None and opened.axes:
            raise UserError(f"{path} is a stack of planes.", "Save the plane you want to segment as an image.")
        if opened is not None:
            return Source(opened.levels[0], Parts(open_picture(path, whole_below=0)))
    values = read_image(path)
    large = values.shape[0] * values.shape[1] > LARGE
    return Source(values, Parts(picture_of(values)) if large else to_rgb8(values))
