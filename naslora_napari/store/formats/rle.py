"""Run lengths of COCO: pixels counted column by column, in turn outside and inside. Nothing of the size is believed."""

from __future__ import annotations

from typing import Any

import numpy as np

from .checks import whole
from .neutral import Size
from .outlines import cropped

#: A mask may have so many runs.
MOST_RUNS = 50_000_000


def decode(counts: Any, told: Any, size: Size) -> tuple[np.ndarray, tuple[int, int]] | None:
    """Return the mask of run lengths as mask and offset; None where it is empty.

    Parameters
    ----------
    counts : list of int, str or bytes
        Run lengths, or the text that pycocotools makes of them.
    told : [rows, columns]
        What the file says.
    size : (rows, columns)
        Of the image.

    Raises
    ------
    ValueError
        They are damaged, or not for an image of this size.
    """
    if not isinstance(told, list) or [whole(v) for v in told] != list(size):
        raise ValueError(f"its run lengths are for an image of {told!r:.40}")
    runs = _from_text(counts) if isinstance(counts, str | bytes) else _from_list(counts)
    if (runs < 0).any() or (runs > size[0] * size[1]).any() or runs.sum() != size[0] * size[1]:
        raise ValueError("its run lengths do not fill the image")
    edges = np.cumsum(runs)
    starts, ends = edges[0 : len(edges) - 1 : 2], edges[1::2]
    inside = ends > starts
    starts, ends = starts[inside], ends[inside]
    if not len(starts):
        return None
    col, stop = int(starts[0]) // size[0], int(ends[-1] - 1) // size[0] + 1
    steps = np.zeros((stop - col) * size[0] + 1, np.int8)
    np.add.at(steps, starts - col * size[0], 1)
    np.add.at(steps, ends - col * size[0], -1)
    mask = np.cumsum(steps[:-1], dtype=np.int8).astype(bool).reshape(stop - col, size[0]).T
    return cropped(mask, (0, col))


def encode(mask: np.ndarray, offset: tuple[int, int], size: Size) -> list[int]:
    """Return the run lengths of a mask in an image of (rows, columns)."""
    cols, rows = np.nonzero(mask.T)  # column by column
    pixels = (cols + offset[1]) * size[0] + rows + offset[0]
    breaks = np.flatnonzero(np.diff(pixels) != 1)
    starts = pixels[np.concatenate([[0], breaks + 1])]
    ends = pixels[np.concatenate([breaks, [len(pixels) - 1]])] + 1
    edges = np.stack([starts, ends], axis=1).ravel()
    runs = np.diff(edges, prepend=0).tolist()
    rest = size[0] * size[1] - int(edges[-1])
    return [*runs, rest] if rest else runs


def _from_list(counts: Any) -> np.ndarray:
    if not isinstance(counts, list) or not 0 < len(counts) <= MOST_RUNS:
        raise ValueError("its run lengths are no list")
    return np.array([whole(run) for run in counts], np.int64)


def _from_text(text: str | bytes) -> np.ndarray:
    """Return the run lengths in a text: numbers in groups of five bits, most of them as difference to the last but one.

    Source: the functions rleToString and rleFrString of the COCO API (maskApi.c).
    """
    encoded = text.encode("ascii") if isinstance(text, str) else text
    if not 0 < len(encoded) <= 7 * MOST_RUNS:
        raise ValueError("its run lengths are no text")
    digits = np.frombuffer(encoded, np.uint8).astype(np.int64) - 48
    last = (digits & 32) == 0
    if (digits < 0).any() or (digits > 63).any() or not last[-1]:
        raise ValueError("its run lengths are no such text")
    starts = np.flatnonzero(np.concatenate([[True], last[:-1]]))
    lengths = np.diff(starts, append=len(digits))
    if lengths.max() > 7:
        raise ValueError("a run length is too large")
    place = np.arange(len(digits)) - np.repeat(starts, lengths)
    values = np.add.reduceat((digits & 31) << (5 * place), starts)
    values[(digits[last] & 16) > 0] -= (1 << (5 * lengths))[(digits[last] & 16) > 0]
    for first in (1, 2):  # the first three are no differences
        values[first::2] = np.cumsum(values[first::2])
    return values
