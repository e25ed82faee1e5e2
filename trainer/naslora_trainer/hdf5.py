"""HDF5 files from outside: nothing is believed, no link is followed, every failure is a sentence."""

from __future__ import annotations

import hashlib
import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from .errors import DamagedError, UserError

#: A chunk of a dataset may take as much memory, in bytes.
LARGEST_CHUNK = 64 * 2**20

#: What follows the content of a sealed file: this, and the SHA-256 of all before it. HDF5 does not look there.
SEAL = b"naslora sealed: "
_SEALED = len(SEAL) + hashlib.sha256().digest_size
#: Where superblocks of version 2 and later say how long the content is.
_END_OF_CONTENT = slice(28, 36)

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
def reading(path: Path, kind: str, schema: str, version: int, content: bytes | None = None) -> Iterator[h5py.File]:
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
    content : bytes or None
        What was in the file when it was read; None: it is read now.

    Raises
    ------
    DamagedError
        Here or in the block: the file is missing, foreign or damaged.
    UserError
        It is of a newer version, or may not be read.
    """
    if content is None and not path.is_file():
        raise DamagedError(f"{path} does not exist.")
    try:
        with open(path, "rb") if content is None else io.BytesIO(content) as whole_file:
            _check_seal(whole_file)
        with h5py.File(path if content is None else io.BytesIO(content), "r", locking=False) as file:
            if text(file, "schema") != schema:
                raise DamagedError(f"{path} is not {_a(kind)} of naslora-napari.")
            found = whole(file, "version")
            if found > version:
                raise UserError(
                    f"{path} was written by a newer naslora-napari (file version {found}, known: {version}).",
                    "Update naslora-napari.",
                )
            yield file
    except PermissionError as error:
        raise UserError(f"{path} may not be read.", "Check the permissions of the file.") from error
    except DAMAGE as error:
        raise DamagedError(
            f"{path} is damaged or not {_a(kind)}.", "Restore it from a copy; the file was left as it is."
        ) from error


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def create(path: Path | str, schema: str, version: int, **options: Any) -> h5py.File:
    """Return a new HDF5 file with its ``schema`` and ``version``.

    Its format is that of HDF5 1.10, whose checksums let the library notice damage. Texts are stored with a fixed
    length: those of variable length lie in a heap without checksum, which the library can read for ever when it is
    damaged.
    """
    file = h5py.File(path, "w", libver=("v110", "v110"), **options)
    set_text(file, "schema", schema)
    file.attrs["version"] = version
    return file


def in_memory(schema: str, version: int) -> h5py.File:
    """Return a new file as :func:`create` does, but in memory: no disk can be full while it is built."""
    return create("memory.h5", schema, version, driver="core", backing_store=False)


def content(file: h5py.File) -> bytes:
    """Return the bytes of a file in memory, sealed: whatever changes in them is noticed by :func:`reading`."""
    file.flush()
    image = bytes(file.id.get_file_image())
    return b"".join((image, SEAL, hashlib.sha256(image).digest()))


def _check_seal(file: IO[bytes]) -> None:
    """Check that a sealed file is what was written.

    A file without a seal is of an older version, or another program changed it: HDF5 cuts off what follows its content
    when it closes a file. So only a file that ends with its content may be without.

    Raises
    ------
    ValueError, OSError
        It is not, or what follows the content is no seal.
    """
    size = file.seek(0, os.SEEK_END)
    digest, left = hashlib.sha256(), max(0, size - _SEALED)
    file.seek(0)
    start = file.read(_END_OF_CONTENT.stop)
    file.seek(left)
    end = file.read(_SEALED)
    if not end.startswith(SEAL):
        if len(start) > 8 and start[8] in (2, 3) and size > int.from_bytes(start[_END_OF_CONTENT], "little"):
            raise ValueError("the seal is damaged")
        return
    file.seek(0)
    while left and (part := file.read(min(left, 2**20))):
        digest.update(part)
        left -= len(part)
    if left or digest.digest() != end[len(SEAL) :]:
        raise ValueError("the content does not fit the seal")


def packed(parent: h5py.Group, name: str, dtype: np.dtype, shape: tuple[int, ...], chunk: int) -> h5py.Dataset:
    """Return a new dataset, all zero, of compressed chunks with checksums; a chunk has at most ``chunk`` per axis."""
    chunks = tuple(min(chunk, max(1, size)) for size in shape)
    growing = (None,) * len(shape) if 0 in shape else None  # only a growing dataset of chunks may be empty
    options = {"compression": "gzip", "compression_opts": 1, "shuffle": True, "fletcher32": True}
    return parent.create_dataset(name, shape, dtype, chunks=chunks, maxshape=growing, **options)


def set_packed(parent: h5py.Group, name: str, values: np.ndarray, chunk: int) -> None:
    """Write values as :func:`packed` lays them out."""
    dataset = packed(parent, name, values.dtype, values.shape, chunk)
    if values.size:
        dataset[()] = values


def set_text(owner: h5py.Group, name: str, text: str) -> None:
    """Set an attribute to a text, UTF-8 of fixed length."""
    encoded = text.encode("utf-8")
    owner.attrs.create(name, encoded, dtype=h5py.string_dtype("utf-8", max(1, len(encoded))))


def text(owner: h5py.Group, name: str) -> str:
    """Return a text attribute.

    Raises
    ------
    KeyError, ValueError
        It is missing, or no text of fixed length.
    """
    return bytes(_attribute(owner, name, "S")).decode("utf-8")


def whole(owner: h5py.Group, name: str) -> int:
    """Return a whole-number attribute.

    Raises
    ------
    KeyError, ValueError
        It is missing, or not a single whole number.
    """
    return int(_attribute(owner, name, "iu"))


def flag(owner: h5py.Group, name: str) -> bool:
    """Return a yes/no attribute.

    Raises
    ------
    KeyError, ValueError
        It is missing, or neither true nor false.
    """
    return bool(_attribute(owner, name, "b"))


def _attribute(owner: h5py.Group, name: str, kinds: str) -> Any:
    """Return a single value after checking its type; a value of variable length is not touched."""
    found = owner.attrs.get_id(name)
    if found.dtype.kind not in kinds or found.shape != ():
        raise ValueError(f"the attribute {name} is of another type")
    return owner.attrs[name]


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
    if found.chunks and math.prod(found.chunks) * found.dtype.itemsize > LARGEST_CHUNK:
        raise ValueError(f"{name} has too large chunks")
    return found


def _own(parent: h5py.Group, name: str) -> Any:
    """Return a member that is neither a soft nor an external link."""
    if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is missing or a link")
    return parent[name]
