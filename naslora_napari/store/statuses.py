"""What lists tell of thousands of images, without opening thousands of files."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from naslora_trainer.errors import UserError
from naslora_trainer.files import atomic_write

from .records import ImageStatus, Marks, ProjectSummary

log = logging.getLogger("naslora_napari")

VERSION = 2
FILE = "statuses.json"
#: A larger file is none that was written here, in bytes.
LARGEST_FILE = 2**28
#: So many statuses are told at a time while files are read.
TOLD = 50
Signature = tuple[int, int, int] | None
UNTOUCHED = ImageStatus()


class Statuses:
    """The status of each image, in memory and in ``cache/statuses.json``.

    Each is kept with the signature of the annotation file that it was read from, and holds only as long as the file has
    that signature: the cache may be deleted, and is never stale.

    Parameters
    ----------
    project : Path
        The folder of the project.
    """

    def __init__(self, project: Path) -> None:
        self._file, self._folder = project / "cache" / FILE, project / "annotations"
        self._known: dict[str, tuple[Signature, ImageStatus]] = {}
        self._lock = threading.RLock()
        self._loaded = self._changed = False
        #: Sums over what is known, of images with objects, objects, complete and skipped images.
        self._sums = [0, 0, 0, 0]

    def __getitem__(self, name: str) -> ImageStatus:
        """Return what is known of an image now; nothing is read."""
        known = self._known.get(name)
        return UNTOUCHED if known is None else known[1]

    def summary(self, images: int) -> ProjectSummary:
        """Return what is known now of a project of so many images; nothing is read or counted anew."""
        return ProjectSummary(images, *self._sums)

    def put(self, name: str, status: ImageStatus) -> None:
        """Note the status of an image whose file was just written."""
        with self._lock:
            self._put(name, self._signature(name), status)

    def refresh(
        self,
        names: Sequence[str],
        read: Callable[[str], ImageStatus],
        told: Callable[[Sequence[str]], None] = lambda names: None,
    ) -> dict[str, UserError]:
        """Bring the statuses of images up to date, and return why some could not be read, by name.

        Parameters
        ----------
        names : sequence of str
            All images of the project.
        read : callable
            Reads the status of an image from its annotation file.
        told : callable
            Gets names of images whose status is new, now and then.
        """
        with self._lock:
            if not self._loaded:
                self._load(frozenset(names))
        errors: dict[str, UserError] = {}
        new: list[str] = []
        for name in names:
            signature = self._signature(name)
            known = self._known.get(name)
            if (known is None and signature is None) or (known is not None and known[0] == signature):
                continue
            try:
                status = UNTOUCHED if signature is None else read(name)
            except UserError as error:
                errors[name] = error
                continue
            with self._lock:
                if self._signature(name) == signature:  # else it was written meanwhile, and is known better
                    self._put(name, signature, status)
            new.append(name)
            if len(new) == TOLD:
                told(new)
                new = []
        if new:
            told(new)
        self.keep()
        return errors

    def keep(self) -> None:
        """Write what is known to the cache, if it is not there yet; a failure costs time later and nothing else."""
        with self._lock:
            if not (self._loaded and self._changed) or not self._file.parent.parent.is_dir():
                return
            images = {name: [*signature, _to_json(s)] for name, (signature, s) in self._known.items() if signature}
            self._changed = False
        try:
            self._file.parent.mkdir(exist_ok=True)
            with atomic_write(self._file) as temporary:
                temporary.write_text(json.dumps({"version": VERSION, "images": images}), encoding="ascii")
        except OSError as error:
            log.info("The list of statuses was not kept: %s", error)

    def _put(self, name: str, signature: Signature, status: ImageStatus) -> None:
        for sign, counted in ((-1, self[name]), (1, status)):
            marks = counted.marks
            parts = (counted.objects > 0, counted.objects, marks.complete, marks.skipped)
            self._sums = [total + sign * part for total, part in zip(self._sums, parts, strict=True)]
        self._known[name] = signature, status
        self._changed = True

    def _signature(self, name: str) -> Signature:
        return signature_of(self._folder / f"{name}.h5")

    def _load(self, names: Collection[str]) -> None:
        """Take over the cache, where it is sound; what is known already is newer."""
        self._loaded = True
        try:
            if self._file.stat().st_size > LARGEST_FILE:
                return
            content = json.loads(self._file.read_bytes())
            if content["version"] != VERSION:
                return
            found = {name: _from_json(values) for name, values in content["images"].items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            log.info("The list of statuses is made anew: %s", error)
            return
        for name, (signature, status) in found.items():
            if name in names and name not in self._known:
                self._put(name, signature, status)
        self._changed = False


def signature_of(path: Path) -> Signature:
    """Return what changes when a file is replaced; None where it is missing."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _to_json(status: ImageStatus) -> list[Any]:
    marks = status.marks
    return [status.objects, status.doubtful, status.waiting, marks.complete, marks.skipped, marks.note, marks.rois]


def _from_json(values: Any) -> tuple[Signature, ImageStatus]:
    """Return a signature and a status of JSON values, or raise ValueError or TypeError."""
    modified, size, inode, (objects, doubtful, waiting, complete, skipped, note, rois) = values
    numbers = (modified, size, inode, objects, doubtful, waiting)
    if not all(type(number) is int for number in numbers) or objects < 0:
        raise ValueError("not numbers")
    if type(complete) is not bool or type(skipped) is not bool or not isinstance(note, str):
        raise ValueError("not marks")
    if not all(len(roi) == 4 and all(type(edge) is int for edge in roi) for roi in rois):
        raise ValueError("not regions of interest")
    marks = Marks(complete, skipped, note, tuple((row0, col0, row1, col1) for row0, col0, row1, col1 in rois))
    return (modified, size, inode), ImageStatus(objects, doubtful, marks, waiting)
