"""Values from foreign files: size and range are checked before anything is made of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from naslora_trainer import files
from naslora_trainer.errors import UserError

#: Larger files, in bytes, are not read into memory.
LARGEST_FILE = 512 * 2**20
#: An outline may have so many corners.
MOST_CORNERS = 1_000_000
#: Coordinates are at most so large, in pixels.
FARTHEST = 1e7
LONGEST_NAME = 200


def check_file(path: Path, largest: int = LARGEST_FILE) -> None:
    """Check that a path is a file of at most ``largest`` bytes.

    Raises
    ------
    UserError
        It is not.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"{path} could not be read: {error.strerror or error}.") from error
    if not path.is_file():
        raise UserError(f"{path} is not a file.")
    if size > largest:
        raise UserError(f"{path} has {size / 2**20:.0f} MB; {largest / 2**20:.0f} are allowed.", "Split it.")


def read_bytes(path: Path, largest: int = LARGEST_FILE) -> bytes:
    """Return the content of a file that is not too large.

    Raises
    ------
    UserError
        It is too large or cannot be read.
    """
    check_file(path, largest)
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} could not be read: {error.strerror or error}.") from error


def read_json(path: Path) -> Any:
    """Return the content of a JSON file that is not too large.

    Raises
    ------
    UserError
        It is too large, cannot be read or is no JSON.
    """
    check_file(path)
    return files.read_json(path)


def numbers(values: Any, most: int = 2 * MOST_CORNERS) -> np.ndarray:
    """Return a list of numbers as float64, or raise ValueError where one is not finite or too large."""
    if not isinstance(values, list | tuple) or len(values) > most:
        raise ValueError(f"not a list of at most {most} numbers")
    try:
        found = np.array(values, np.float64)
    except (TypeError, OverflowError) as error:
        raise ValueError("not numbers") from error
    if not (np.abs(found) <= FARTHEST).all():  # NaN is not, either
        raise ValueError("a coordinate is not finite or too large")
    return found


def corners(values: Any) -> np.ndarray:
    """Return a list of ``[x, y]`` as ``(n, 2)`` float64, or raise ValueError; what follows x and y is dropped."""
    found = numbers(values, MOST_CORNERS)
    if found.ndim != 2 or found.shape[1] < 2:
        raise ValueError("not a list of points")
    return found[:, :2]


def whole(value: Any, low: int = 0, high: int = 2**31 - 1) -> int:
    """Return a whole number in a range, or raise ValueError."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{value!r:.40} is not a whole number of {low} to {high}")
    return value


def size_of(height: Any, width: Any) -> tuple[int, int] | None:
    """Return (rows, columns) that a file tells; None where it tells nothing sensible."""
    try:
        return whole(height, 1), whole(width, 1)
    except ValueError:
        return None


def class_name(value: Any) -> str:
    """Return a text as the name of a class: printable, in one line, not too long; empty where it is no text."""
    if not isinstance(value, str):
        return ""
    line = " ".join(value[: 4 * LONGEST_NAME].split())
    return "".join(c for c in line if c.isprintable())[:LONGEST_NAME].strip()


def color(value: Any) -> str:
    """Return ``#rrggbb``, ``[r, g, b]`` or a packed number as ``#rrggbb``; empty where it is none of them."""
    if isinstance(value, str) and re.fullmatch("#[0-9a-fA-F]{6}", value):
        return value.lower()
    if isinstance(value, list) and len(value) == 3 and all(type(v) is int and 0 <= v < 256 for v in value):
        return "#{:02x}{:02x}{:02x}".format(*value)
    if type(value) is int:
        return f"#{value & 0xFFFFFF:06x}"
    return ""


def rgb(text: str) -> list[int]:
    """Return ``#rrggbb`` as ``[r, g, b]``."""
    return list(bytes.fromhex(text[1:]))
