"""What tells an image file from all others, so that it is found again wherever it was moved to."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from naslora_trainer.decode import is_zarr

#: Of a file that is larger than all of them together, so many parts of so many bytes are read, evenly apart.
PARTS, PART = 4, 64 * 2**10
#: Of a folder (an OME-Zarr) so many files are looked into; the metadata are among the first.
MOST_FILES = 64
#: What :func:`content_of` returns.
PATTERN = re.compile(r"(zarr|[0-9]+)-[0-9a-f]{64}")


def content_of(path: Path) -> str:
    """Return what identifies the content of an image file or an OME-Zarr folder.

    A file of at most 256 KiB is read as a whole. Of a larger one the first, the last and two parts between count, and
    its size: thousands of images take seconds, and files of one instrument differ in every part by their noise.

    Returns
    -------
    str
        ``SIZE-SHA256``, or ``zarr-SHA256``.

    Raises
    ------
    OSError
        It cannot be read, or is no file.
    """
    if is_zarr(path):
        return f"zarr-{_folder_digest(path)}"
    with open(path, "rb", opener=_open_file) as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.sha256()
        if size <= PARTS * PART:
            digest.update(file.read(PARTS * PART))
        else:
            for k in range(PARTS):
                file.seek(k * (size - PART) // (PARTS - 1))
                digest.update(file.read(PART))
    return f"{size}-{digest.hexdigest()}"


def known_content(path: Path) -> str:
    """Return the content of a file; empty where it cannot be read."""
    try:
        return content_of(path)
    except OSError:
        return ""


def kind_of(content: str) -> str:
    """Return the part of a content that is known without reading: the size of a file in bytes, or ``zarr``."""
    return content.partition("-")[0]


def _folder_digest(folder: Path) -> str:
    """Return the digest of names, sizes and beginnings of the first files of a folder, those on top first."""
    digest = hashlib.sha256()
    for path in _first_files(folder):
        with open(path, "rb", opener=_open_file) as file:
            size = os.fstat(file.fileno()).st_size
            digest.update(f"{path.relative_to(folder).as_posix()}|{size}|".encode("utf-8", "surrogatepass"))
            digest.update(file.read(PART))
    return digest.hexdigest()


def _first_files(folder: Path) -> list[Path]:
    """Return at most :data:`MOST_FILES` files of a folder and those in it, by depth and name; links do not count."""
    found: list[Path] = []
    level = [folder]
    while level and len(found) < MOST_FILES:
        entries = [entry for part in level for entry in _sorted(part)]
        found += [Path(entry.path) for entry in entries if entry.is_file(follow_symlinks=False)]
        level = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)][:MOST_FILES]
    return found[:MOST_FILES]


def _sorted(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from sorted(entries, key=lambda entry: entry.name)


def _open_file(path: str, flags: int) -> int:
    """Open a file for reading; a pipe or device is neither waited for nor read."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is no file")
    return descriptor
