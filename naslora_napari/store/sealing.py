"""A text file that says in its first line what its content was when the program wrote it."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from naslora_trainer.errors import UserError
from naslora_trainer.files import make_folder, write_bytes

log = logging.getLogger("naslora_napari")

#: Where the last good state of each file is, as in the project itself.
BACKUP = "backup"
_SEAL = b"# naslora-napari, sha256 "


def write_sealed(folder: Path, name: str, content: bytes) -> None:
    """Replace a text file of a project at once, and then its backup, which is a copy: people edit text files.

    Raises
    ------
    NotSavedError
        The disk is full, gone or read-only; the old file is intact.
    """
    sealed = _SEAL + hashlib.sha256(content).hexdigest().encode() + b"\n" + content
    write_bytes(folder / name, sealed)
    try:
        write_bytes(make_folder(folder / BACKUP) / name, sealed)
    except UserError as error:
        log.warning("%s has no backup: %s", folder / name, error)


def as_written(text: bytes) -> bool:
    """Return whether a text file is what the program wrote; one of a program that did not seal yet counts as well."""
    first, _, content = text.partition(b"\n")
    if not first.startswith(b"#"):
        return True
    return first == _SEAL + hashlib.sha256(content).hexdigest().encode()
