"""What micro-sam commits: a zarr folder with the labels ``committed_objects``. Its prompts are not taken over."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from naslora_trainer.decode import MAX_PIXELS
from naslora_trainer.errors import UserError
from naslora_trainer.images import to_labels
from naslora_trainer.lazy import check_chunks

from .neutral import Found, Plane, Size

LAYER = "committed_objects"


def read(path: Path) -> Iterator[Found]:
    """Yield what a commit says about the image of its name.

    Raises
    ------
    UserError
        It has no committed objects in a plane.
    """
    shape = _stored(path).shape
    yield Found(path.stem, partial(_draw, path), (int(shape[0]), int(shape[1])), (path.parent,))


def _draw(path: Path, size: Size) -> Plane:
    stored = _stored(path)
    if stored.shape != size:
        raise UserError(f"{path} is not of the size of its image, {size[0]} x {size[1]} pixels.")
    return Plane(to_labels(np.asarray(stored[...]), str(path)))


def _stored(path: Path) -> Any:
    import zarr

    try:
        stored = zarr.open_group(path, mode="r")[LAYER]
        if not isinstance(stored, zarr.Array) or stored.dtype.kind not in "iu":
            raise ValueError("no labels")
        check_chunks(path, stored)
    except UserError:
        raise
    except Exception as error:  # decoders raise nearly everything on damaged files
        raise UserError(f"{path} has no labels '{LAYER}', or is damaged.") from error
    if stored.ndim != 2 or math.prod(stored.shape) > MAX_PIXELS:
        raise UserError(f"{path} has labels of {stored.ndim} axes or too many pixels; a plane is needed.")
    return stored
