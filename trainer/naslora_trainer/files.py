"""Files that are either the old one or the new one, never half of each."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT) if hasattr(errno, "EDQUOT") else (errno.ENOSPC,)


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; when the block ends well, it replaces ``path``.

    The block writes the temporary file, which then is flushed to disk and renamed. After an error the
    temporary file is removed and ``path`` is what it was. The folder must exist.

    Raises
    ------
    OSError
        The file cannot be written; :func:`saving` turns this into a sentence.
    """
    path = Path(path)
    temporary = path.with_name(f".{secrets.token_hex(6)}.tmp{path.suffix}")
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    # The new file is in place: a folder that cannot be flushed is no reason to report a failure.
    with suppress(OSError):
        _flush_folder(path.parent)


@contextmanager
def saving(path: Path | str) -> Iterator[Path]:
    """Do what :func:`atomic_write` does, with a :class:`UserError` in place of an :class:`OSError`."""
    try:
        with atomic_write(path) as temporary:
            yield temporary
    except OSError as error:
        raise not_saved(path, error) from error


def not_saved(path: Path | str, error: OSError) -> UserError:
    """Return the sentence for a file that could not be written."""
    if error.errno in FULL:
        return UserError(
            f"{path} could not be saved: the disk is full.",
            "Free some space and save again; the old file is intact.",
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return UserError(
            f"{path} could not be saved: the folder or disk is read-only.",
            "Allow writing there or choose another place; the old file is intact.",
        )
    return UserError(
        f"{path} could not be saved: {error.strerror or error}.", "Check the disk; the old file is intact."
    )


def write_bytes(path: Path | str, content: bytes) -> None:
    """Replace ``path`` by ``content`` at once.

    Raises
    ------
    UserError
        The disk is full or read-only; the old file is intact.
    """
    with saving(path) as temporary, open(temporary, "wb") as file:
        file.write(content)


def write_json(path: Path | str, content: Any) -> None:
    """Replace ``path`` by ``content`` as JSON (UTF-8, no NaN) at once.

    Raises
    ------
    UserError
        The disk is full or read-only; the old file is intact.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode("utf-8"))


def read_json(path: Path | str) -> Any:
    """Return the content of a JSON file.

    Raises
    ------
    UserError
        The file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist.") from error
    except OSError as error:
        raise UserError(f"{path} could not be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a JSON file.", "It may be damaged; restore it from a copy.") from error


def _flush(path: Path) -> None:
    """Wait until a written file is on the disk."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk. Windows has no such call."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
