"""HDF5 files from outside: nothing is believed, no link is followed, every failure is a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .errors import UserError

#: What h5py and numpy raise on damaged files.
DAMAGE = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    MemoryError,
    ArithmeticError,
)


@contextmanager
def reading(path: Path, kind: str, schema: str, version: int) -> Iterator[h5py.File]:
    """Open an HDF5 file of this project's making for reading.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        What it should be, for the sentence, such as "annotation file".
    schema : str
        The expected attribute ``schema``.
    version : int
        The newest attribute ``version`` that is understood.

    Raises
    ------
    UserError
        Here or in the block: the file is missing, foreign, damaged or of a newer version.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist.")
    try:
        with h5py.File(path, "r", locking=False) as file:
            if text(file.attrs.get("schema")) != schema:
                raise UserError(f"{path} is not a {kind} of naslora-napari.")
            found = whole(file.attrs["version"])
            if found > version:
                raise UserError(
                    f"{path} was written by a newer naslora-napari (file version {found}, known: {version}).",
                    "Update naslora-napari.",
                )
            yield file
    except PermissionError as error:
        raise UserError(f"{path} may not be read.", "Check the permissions of the file.") from error
    except DAMAGE as error:
        raise UserError(
            f"{path} is damaged or not a {kind}.", "Restore it from a copy; the file was left as it is."
        ) from error


def text(value: Any) -> str:
    """Return a text attribute or field.

    Raises
    ------
    ValueError
        It is no text.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, str):
        return value
    raise ValueError("not a text")


def whole(value: Any) -> int:
    """Return a whole-number attribute.

    Raises
    ------
    ValueError
        It is not a single whole number.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise ValueError("not a whole number")
    return int(value)


def flag(value: Any) -> bool:
    """Return a yes/no attribute.

    Raises
    ------
    ValueError
        It is neither.
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError("neither true nor false")
    return bool(value)


def group(parent: h5py.Group, name: str) -> h5py.Group:
    """Return a sub-group that lies in this very file.

    Raises
    ------
    ValueError
        It is missing, a link to elsewhere, or no group.
    """
    found = _own(parent, name)
    if not isinstance(found, h5py.Group):
        raise ValueError(f"{name} is no group")
    return found


def dataset(parent: h5py.Group, name: str, dtype: np.dtype | None, shape: tuple[int, ...] | None) -> h5py.Dataset:
    """Return a dataset whose values lie in this very file; nothing is read yet.

    Parameters
    ----------
    parent : h5py.Group
        Where it is.
    name : str
        Its name.
    dtype : numpy.dtype or None
        The type it must have; None: any.
    shape : tuple of int or None
        The shape it must have; None: any.

    Raises
    ------
    ValueError
        It is missing, a link, stored elsewhere, or of another type or shape.
    """
    found = _own(parent, name)
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual:
        raise ValueError(f"{name} is no dataset of this file")
    if (dtype is not None and found.dtype != dtype) or (shape is not None and found.shape != shape):
        raise ValueError(f"{name} has another type or shape")
    return found


def _own(parent: h5py.Group, name: str) -> Any:
    """Return a member that is neither a soft nor an external link."""
    if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is missing or a link")
    return parent[name]
