"""Animated GIF and WebP files: their frames are the planes of a time series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .errors import UserError

_FORMATS = ("GIF", "WEBP")
_SIGNATURES = (b"GIF8", b"RIFF")
#: A file with more frames is refused.
MOST_FRAMES = 10_000


def is_animated(path: Path) -> bool:
    """Return whether a file is of a format that has frames, and has several; False where it cannot be read."""
    with open(path, "rb") as file:
        if file.read(4) not in _SIGNATURES:
            return False
    try:
        with Image.open(path, formats=_FORMATS) as image:
            return bool(getattr(image, "is_animated", False))
    except Exception:  # decoders raise nearly everything; whoever reads it as a whole says what is wrong
        return False


def open_frames(path: Path) -> Any:
    """Return the frames of a file that :func:`is_animated`, as a dask array (T, H, W, 3) uint8 that decodes when asked.

    Raises
    ------
    UserError
        It has too many frames.
    """
    import dask.array as da
    from dask.delayed import delayed

    with Image.open(path, formats=_FORMATS) as image:
        count, (width, height) = int(image.n_frames), image.size  # type: ignore[attr-defined]
    if count > MOST_FRAMES:
        raise UserError(f"{path} has more than {MOST_FRAMES:,} frames.", "Save it in parts.")
    read = delayed(_frame, pure=True)
    shape = (height, width, 3)
    return da.stack([da.from_delayed(read(path, index), shape, np.uint8) for index in range(count)])


def _frame(path: Path, index: int) -> np.ndarray:
    with Image.open(path, formats=_FORMATS) as image:
        image.seek(index)
        return np.array(image.convert("RGB"))
