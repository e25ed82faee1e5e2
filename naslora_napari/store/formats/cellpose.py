"""Cellpose's ``NAME_seg.npy``: a pickled dictionary, of which the masks are read without unpickling it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from naslora_trainer.errors import UserError
from naslora_trainer.images import to_labels

from . import checks
from .neutral import Found, Plane, Size
from .plain_pickle import StoredArray, plain_data

SUFFIX = "_seg.npy"
#: Larger files, in bytes, are not read; the flows in it take some 30 bytes for each pixel.
LARGEST = 2 * 2**30


def read(path: Path) -> Iterator[Found]:
    """Yield what a file of Cellpose says about the image that it lies beside."""
    name = path.name.removesuffix(SUFFIX) if path.name.endswith(SUFFIX) else path.stem
    yield Found(name, partial(_draw, path), None, (path.parent,))


def _draw(path: Path, size: Size) -> Plane:
    try:
        masks = _masks(checks.read_bytes(path, LARGEST))
    except ValueError as error:
        raise UserError(f"{path} is no file of Cellpose, or damaged: {error}.") from error
    if masks.shape != size:
        raise UserError(
            f"{path} has masks of {' x '.join(map(str, masks.shape))} pixels, its image {size[0]} x {size[1]}."
        )
    return Plane(to_labels(masks, str(path)))


def _masks(content: bytes) -> np.ndarray:
    """Return the masks in the content of a file, or raise ValueError."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError("its version is not known")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(stream)
    if dtype.kind != "O" or shape != ():
        raise ValueError("it holds an array, no dictionary")
    whole = plain_data(content[stream.tell() :])
    record = whole.objects()[0] if isinstance(whole, StoredArray) else None
    masks = record.get("masks") if isinstance(record, dict) else None
    if not isinstance(masks, StoredArray):
        raise ValueError("it has no masks")
    return np.squeeze(masks.array())
