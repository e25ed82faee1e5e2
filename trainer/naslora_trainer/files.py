"""Files that are either the old one or the new one, never half of each."""

from __future__ import annotations

import errno
import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import NotSavedError, UserError

log = logging.getLogger("naslora_trainer")

FULL = (errno.ENOSPC, errno.EDQUOT) if hasattr(errno, "EDQUOT") else (errno.ENOSPC,)
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENOTCONN, errno.ESTALE, errno.EHOSTDOWN)


@contextmanager
def atomic_write(path: Path | str, backup: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; when the block ends well, it replaces ``path``.

    The block writes the temporary file, which then is flushed to disk and renamed. After an error the
    temporary file is removed and ``path`` is what it was. The folder must exist.

    Parameters
    ----------
    path : Path
        The file.
    backup : Path or None
        Where to keep what ``path`` was until now; a failure of that is logged only.

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
        if backup is not None:
            _keep(path, backup)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    # The new file is in place: a folder that cannot be flushed is no reason to report a failure.
    with suppress(OSError):
        _flush_folder(path.parent)


@contextmanager
def saving(path: Path | str, backup: Path | None = None) -> Iterator[Path]:
    """Do what :func:`atomic_write` does, with a :class:`UserError` in place of an :class:`OSError`."""
    try:
        with atomic_write(path, backup) as temporary:
            yield temporary
    except OSError as error:
        raise not_saved(path, error) from error


@contextmanager
def saving_folder(path: Path | str) -> Iterator[Path]:
    """Yield a path beside ``path`` where the block makes a folder; when it ends well, that replaces ``path``.

    All of its files are flushed to disk before. A folder cannot be replaced in one step: a crash in between leaves none
    at all, never half of one.

    Raises
    ------
    NotSavedError
        It cannot be written; what was there is intact.
    """
    path = Path(path)
    temporary, old = (path.with_name(f".{secrets.token_hex(6)}.tmp{path.suffix}") for _ in range(2))
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _flush(file)
        if path.exists():
            os.replace(path, old)
        try:
            os.replace(temporary, path)
        except OSError:
            if old.exists():
                os.replace(old, path)
            raise
    except OSError as error:
        raise not_saved(path, error) from error
    finally:
        for left in (temporary, old):
            shutil.rmtree(left, ignore_errors=True)
    with suppress(OSError):
        _flush_folder(path.parent)


def make_folder(path: Path) -> Path:
    """Return a folder, made where it is missing, with its name on the disk.

    Raises
    ------
    NotSavedError
        It cannot be made.
    """
    if path.is_dir():
        return path
    try:
        path.mkdir(exist_ok=True)
        with suppress(OSError):
            _flush_folder(path.parent)
    except OSError as error:
        raise not_saved(path, error) from error
    return path


def keep_newest(folder: Path, suffix: str, most: int) -> None:
    """Remove the files of a folder whose name ends with ``suffix`` but the newest ``most``.

    Raises
    ------
    OSError
        The folder cannot be read, or a file not be removed.
    """
    with os.scandir(folder) as entries:
        found = [(entry.stat().st_mtime, entry.path) for entry in entries if entry.name.endswith(suffix)]
    for _, path in sorted(found)[: max(0, len(found) - most)]:
        os.unlink(path)


def not_saved(path: Path | str, error: OSError) -> NotSavedError:
    """Return the sentence for a file that could not be written."""
    if error.errno in FULL:
        return NotSavedError(
            f"{path} could not be saved: the disk is full.",
            "Free some space and save again; the old file is intact.",
        )
    if error.errno in GONE:
        return NotSavedError(
            f"{path} could not be saved: its folder or disk is not there.", "Connect the disk or network share again."
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return NotSavedError(
            f"{path} could not be saved: the folder or disk is read-only.",
            "Allow writing there or choose another place; the old file is intact.",
        )
    return NotSavedError(
        f"{path} could not be saved: {error.strerror or error}.", "Check the disk; the old file is intact."
    )


def write_bytes(path: Path | str, content: bytes, backup: Path | None = None) -> None:
    """Replace ``path`` by ``content`` at once; ``backup`` is as for :func:`atomic_write`.

    Raises
    ------
    UserError
        The disk is full or read-only; the old file is intact.
    """
    with saving(path, backup) as temporary, open(temporary, "wb") as file:
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


def _keep(path: Path, backup: Path) -> None:
    """Let ``backup`` be what ``path`` is: a second name of the same file, or a copy where there are no such names."""
    if not path.exists():
        return
    temporary = backup.with_name(f".{secrets.token_hex(6)}.tmp{backup.suffix}")
    try:
        for folder in reversed([folder for folder in backup.parents if not folder.is_dir()]):
            make_folder(folder)
        try:
            os.link(path, temporary)
        except OSError:
            shutil.copy2(path, temporary)
        os.replace(temporary, backup)
    except (OSError, UserError) as error:
        log.warning("%s could not be kept as a backup: %s", path, error)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)  # a rename between two names of one file does nothing at all


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
