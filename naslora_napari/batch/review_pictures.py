"""Small pictures of segmented images, with the outlines of what was found."""

from __future__ import annotations

import numpy as np
from PIL import Image

from naslora_trainer.errors import UserError
from naslora_trainer.images import read_image
from naslora_trainer.pictures import open_picture

from .found import FoundRun
from .writing import overlay

#: Longest side in pixels.
SIDE = 168


def small_picture(run: FoundRun, image: int) -> np.ndarray:
    """Return an image with its outlines, small, ``(h, w, 3)`` uint8.

    It is made of the overlay where one was written, else of the image and its label image.

    Raises
    ------
    UserError
        They are missing, damaged, or not of the same size.
    """
    path, plane = run.overlay(image), run.planes[image]
    if path.is_file() and not plane:
        pixels = read_image(path)
        if pixels.ndim != 3:
            raise UserError(f"{path} is not an overlay.")
        return _shrunk(pixels[..., :3])
    picture, labels = open_picture(run.source(image), plane), run.labels(image)
    height, width = picture.shape
    if labels.shape != picture.shape:
        raise UserError(f"{run.names[image]} and its result are not of the same size.", "Segment it again.")
    rgb = picture.rgb8((slice(0, height), slice(0, width)), 2 * SIDE)
    rows, cols = (
        np.minimum(np.arange(small) * -(-whole // small), whole - 1)
        for small, whole in zip(rgb.shape[:2], labels.shape, strict=True)
    )
    return _shrunk(overlay(rgb, labels[np.ix_(rows, cols)]))


def _shrunk(pixels: np.ndarray) -> np.ndarray:
    small = Image.fromarray(np.ascontiguousarray(pixels, np.uint8))
    small.thumbnail((SIDE, SIDE))
    return np.asarray(small)
