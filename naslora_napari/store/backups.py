"""The last good state of each file of a project: how a damaged one is recovered, and never silently."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from naslora_trainer.errors import DamagedError, UserError
from naslora_trainer.files import atomic_write

from .links import own, plain
from .manifest import FILE, Manifest, read_manifest
from .sealing import BACKUP, as_written

T = TypeVar("T")
log = logging.getLogger("naslora_napari")


def backup_of(folder: Path, path: Path) -> Path:
    """Return where the last good state of a file of a project in ``folder`` is kept."""
    return folder / BACKUP / path.relative_to(folder)


def recovered(folder: Path, path: Path, read: Callable[[Path], T], error: DamagedError, repair: bool) -> tuple[T, str]:
    """Return what the backup of a damaged or missing file says, and a sentence for the person.

    Parameters
    ----------
    folder : Path
        The project.
    path : Path
        The damaged file.
    read : callable
        Reads and checks a file.
    error : DamagedError
        What is wrong with it.
    repair : bool
        Whether to put the backup in its place; the damaged file stays beside it as ``NAME.damaged``.

    Raises
    ------
    DamagedError
        There is no sound backup.
    """
    backup = own(folder, backup_of(folder, path))
    if not backup.is_file():
        raise error
    try:
        found = read(backup)
    except UserError as second:
        log.warning("The backup cannot be read either: %s", second)
        raise error from second
    words = [f"{error.message.removesuffix('.')}; the state of {_time_of(backup)} was taken from {backup}."]
    if repair:
        words.append(_put_back(path, backup))
    return found, " ".join(word for word in words if word)


def remove_interrupted(folder: Path) -> None:
    """Remove what is left of writes that were interrupted; only who has the project may do that."""
    for part in (folder, folder / "annotations", folder / BACKUP, folder / BACKUP / "annotations"):
        for left in itertools.chain(part.glob(".*.tmp.h5"), part.glob(".*.tmp.toml")):
            with suppress(OSError):
                left.unlink()


def opened_manifest(folder: Path) -> tuple[Manifest, list[str]]:
    """Return the content of project.toml, and sentences for the person.

    Bytes that no editor writes are damage, and the backup is read in its place. Everything else may be what a person
    wrote: it holds if it is right, and they are told, as damage may look like that, too.

    Raises
    ------
    UserError
        As for :func:`naslora_napari.store.manifest.read_manifest`.
    """
    path = plain(own(folder, folder / FILE))
    backup = own(folder, backup_of(folder, path))
    try:
        manifest = read_manifest(folder)
    except UserError as error:
        if not backup.is_file():
            raise
        if not _is_text(path):
            damage = DamagedError(f"{path} is damaged.")
            found, notice = recovered(folder, path, lambda file: read_manifest(folder, file), damage, repair=True)
            return found, [notice]
        raise UserError(error.message, f"{error.hint} What was saved last is in {backup}.".strip()) from error
    if as_written(path.read_bytes()):
        return manifest, []
    notice = f"{path} was changed outside of naslora-napari since it was saved{_differences(manifest, backup, folder)}."
    return manifest, [f"{notice} If that was nobody, copy {backup} over it."] if backup.is_file() else [notice]


def _is_text(path: Path) -> bool:
    """Return whether a file has text as editors write it."""
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return False
    return bool(text.strip()) and "\0" not in text


def _differences(now: Manifest, backup: Path, folder: Path) -> str:
    """Return which classes and images are not what they were, in brackets; empty where that is not known."""
    try:
        before = read_manifest(folder, backup)
    except UserError:
        return ""
    classes = {c.id: c for c in before.classes}, {c.id: c for c in now.classes}
    images = {i.name: i for i in before.images}, {i.name: i for i in now.images}
    names = [f"class {key}" for key in sorted(classes[0].keys() | classes[1].keys()) if _differ(*classes, key)]
    names += [f"image '{key}'" for key in sorted(images[0].keys() | images[1].keys()) if _differ(*images, key)]
    return f" ({', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''})" if names else ""


def _differ(before: dict, now: dict, key: object) -> bool:
    return before.get(key) != now.get(key)


def _put_back(path: Path, backup: Path) -> str:
    """Put a backup in the place of a damaged file, which is kept beside it, and say where."""
    names = itertools.chain((f"{path.name}.damaged",), (f"{path.name}.damaged-{n}" for n in itertools.count(2)))
    aside = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    there = path.exists()
    try:
        with atomic_write(path) as temporary:
            shutil.copy2(backup, temporary)
            if there:
                os.replace(path, aside)
    except OSError as error:
        log.warning("%s could not be put back: %s", path, error)
        return ""
    return f"The damaged file is {aside}." if there else ""


def _time_of(path: Path) -> str:
    """Return when a file was written, as people write it."""
    return datetime.fromtimestamp(path.stat().st_mtime).strftime("%Y-%m-%d %H:%M:%S")
