"""The layer of an image, and where it and the layers on top of it are in the world."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer, Points, Shapes

from naslora_trainer.pictures import Picture

#: What places a layer in the world, and the values that place it nowhere else than its data.
TRANSFORM = {"affine": np.eye(3), "scale": (1, 1), "rotate": 0, "shear": (0,), "translate": (0, 0)}
#: An image in memory is drawn at several sizes when a side has more pixels, which not every graphics card can hold.
LARGEST_TEXTURE = 4096


def image_layer(name: str, picture: Picture) -> Image:
    """Return the layer of an image; a large one is drawn from the level that suits, and read where it is looked at."""
    levels: Any = picture.levels
    many = in_levels(picture)
    rgb = levels[0].ndim == 3
    limits = None if rgb else picture.limits  # people see what the model sees
    return Image(
        levels if many else levels[0],
        name=name,
        rgb=rgb,
        multiscale=many,
        contrast_limits=limits,
        scale=_scale(picture),
        units=_units(picture),
    )


def load_layers() -> None:
    """Let napari load what it needs for its first layers (pandas, units), which takes seconds; for a thread."""
    plane = np.zeros((2, 2), np.uint8)
    Image(plane)
    Labels(plane)
    Points(ndim=2)
    Shapes(ndim=2)


def in_levels(picture: Picture) -> bool:
    """Return whether an image is drawn from the level that suits."""
    return picture.in_parts or max(picture.shape) > LARGEST_TEXTURE


def put_in_place(layer: Any, picture: Picture) -> None:
    """Take a transform away that a person gave to a layer: only the size of the image's pixels counts."""
    height, width = _scale(picture)
    corners = {(0.0, 0.0): (0.0, 0.0), (1.0, 0.0): (height, 0.0), (0.0, 1.0): (0.0, width)}
    if any(tuple(layer.data_to_world(corner)) != place for corner, place in corners.items()):
        for name, value in TRANSFORM.items():
            setattr(layer, name, value)
        layer.scale = height, width
    layer.units = _units(picture)


def place_of(layer: Layer) -> dict[str, Any]:
    """Where a layer is in the world, for the layers on top of it."""
    return {
        "scale": layer.scale[-2:],
        "translate": layer.translate[-2:],
        "rotate": layer.rotate[-2:, -2:],
        "units": layer.units[-2:],
    }


def _scale(picture: Picture) -> tuple[float, float]:
    """Return how large a pixel is drawn: in micrometres, or 1 where that is unknown."""
    return picture.pixel_size or (1.0, 1.0)


def _units(picture: Picture) -> tuple[str, str]:
    return ("um", "um") if picture.pixel_size else ("pixel", "pixel")
