"""LabelMe: one JSON file for each image, beside it. Read only.

Source: the file's documented keys (version, shapes, imagePath, imageHeight, imageWidth); no code of LabelMe is used.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from naslora_trainer.errors import UserError

from . import checks
from .neutral import Found, Kind, Plane, Region, Size, paint
from .outlines import Polygon, cropped, ellipse, fill

Pixels = tuple[np.ndarray, tuple[int, int]] | None


def read(path: Path) -> Iterator[Found]:
    """Yield what a LabelMe file says about its image.

    Raises
    ------
    UserError
        It is no LabelMe file.
    """
    content = _content(path)
    name = content.get("imagePath")
    size = checks.size_of(content.get("imageHeight"), content.get("imageWidth"))
    yield Found(name if isinstance(name, str) and name else path.stem, partial(_draw, path), size, (path.parent,))


def _content(path: Path) -> dict[str, Any]:
    content = checks.read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise UserError(f"{path} is no LabelMe file: it has no list 'shapes'.")
    return content


def _draw(path: Path, size: Size) -> Plane:
    """Draw the shapes; those of one group are one object."""
    objects: dict[Any, list[Any]] = {}
    for number, shape in enumerate(_content(path)["shapes"]):
        group = shape.get("group_id") if isinstance(shape, dict) else None
        grouped = type(group) is int and isinstance(shape.get("label"), str)
        objects.setdefault((group, shape["label"]) if grouped else number, []).append(shape)
    return paint(size, objects.values(), _region)


def _region(shapes: list[Any], size: Size) -> Region | None:
    pieces = [found for found in (_pixels(shape, size) for shape in shapes) if found is not None]
    if not pieces:
        return None
    kind = Kind(checks.class_name(shapes[0].get("label")))
    if len(pieces) == 1:
        return Region(*pieces[0], kind)
    row, col = (min(offset[axis] for _, offset in pieces) for axis in (0, 1))
    stops = [max(offset[axis] + mask.shape[axis] for mask, offset in pieces) for axis in (0, 1)]
    whole = np.zeros((stops[0] - row, stops[1] - col), bool)
    for mask, (top, left) in pieces:
        whole[top - row : top - row + mask.shape[0], left - col : left - col + mask.shape[1]] |= mask
    return Region(whole, (row, col), kind)


def _pixels(shape: dict[str, Any], size: Size) -> Pixels:
    """Return the pixels of one shape."""
    kind = shape.get("shape_type") or "polygon"
    points = checks.corners(shape["points"])
    if kind == "polygon" and len(points) >= 3:
        return fill([[points]], size)
    if kind == "rectangle" and len(points) >= 2:
        return fill([_box(points)], size)
    if kind == "circle" and len(points) == 2:
        radius = float(np.hypot(*(points[1] - points[0])))
        return ellipse((float(points[0, 0]), float(points[0, 1])), (radius, radius), size)
    if kind == "mask" and len(points) == 2:
        return _mask(shape.get("mask"), points, size)
    raise ValueError(f"is a {checks.class_name(kind) or 'shape of no kind'} with {len(points)} points, not an area")


def _box(points: np.ndarray) -> Polygon:
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return [np.array([[left, top], [right, top], [right, bottom], [left, bottom]])]


def _mask(encoded: Any, points: np.ndarray, size: Size) -> Pixels:
    """Return the pixels of a mask: a PNG between its first and its last pixel."""
    (left, top), (right, bottom) = points.astype(np.int64)
    height, width = int(bottom - top + 1), int(right - left + 1)
    if not (top >= 0 and left >= 0 and 0 < height <= size[0] - top and 0 < width <= size[1] - left):
        raise ValueError("its mask is not inside the image")
    if not isinstance(encoded, str):
        raise ValueError("has no mask")
    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded)), formats=("PNG",)) as image:
            if image.size != (width, height):
                raise ValueError("its mask is not of the size that it tells")
            return cropped(np.asarray(image.convert("L")) > 0, (int(top), int(left)))
    except (OSError, SyntaxError) as error:  # what Pillow raises on damaged files
        raise ValueError("its mask is damaged") from error
