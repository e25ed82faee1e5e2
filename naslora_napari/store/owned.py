"""The folder of a project, which one program at a time changes."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from naslora_trainer.errors import DamagedError, NotSavedError
from naslora_trainer.files import make_folder, not_saved

from .backups import recovered, remove_interrupted
from .links import own
from .locking import LockedError, Owner, ProjectLock
from .manifest import FILE

T = TypeVar("T")
SUFFIX = ".naslora"
log = logging.getLogger("naslora_napari")


class OwnedFolder:
    """A folder ``NAME.naslora``, who may change it, and what a person has to know about its files.

    Attributes
    ----------
    path : Path
        The folder, absolute.
    owner : Owner or None
        Another program that has the project, so that it can only be read here.
    """

    def __init__(self, path: Path, notices: Sequence[str] = ()) -> None:
        self.path = path
        self.owner: Owner | None = None
        self._notices = list(notices)
        for notice in notices:
            log.warning(notice)
        self._writer = ProjectLock(path)
        weakref.finalize(self, self._writer.release)
        self._lock = threading.RLock()
        #: Apart from the other, which a thread that reads a large file holds: the window asks for notices all the time.
        self._notices_lock = threading.Lock()

    @property
    def name(self) -> str:
        """The name of the folder without ``.naslora``."""
        return self.path.name.removesuffix(SUFFIX)

    def claim(self, force: bool = False) -> bool:
        """Be the one program that changes the project, and return whether that is so.

        Parameters
        ----------
        force : bool
            Take it from another program, which cannot save any more then.

        Raises
        ------
        NotSavedError
            The folder is gone or cannot be written.
        """
        with self._lock:
            self._check_there()
            if self.owner is None or force:
                new = not (self._writer.claimed or self._writer.held)  # else another thread may be writing now
                try:
                    self.owner = self._writer.claim(force)
                except OSError as error:
                    raise not_saved(self.path, error) from error
                if new and self.owner is None:
                    remove_interrupted(self.path)
            return self.owner is None

    def close(self) -> None:
        """Let other programs change the project; a later change takes it again."""
        self._writer.release()

    @property
    def read_only(self) -> bool:
        """Whether another program has the project: its labels cannot be changed here."""
        return self.owner is not None

    @property
    def silent_s(self) -> float:
        """For how many seconds the program that has the project was not heard of."""
        return self._writer.silent_s()

    def take_notices(self) -> list[str]:
        """Return, once, what a person has to know: what was damaged and recovered, or changed by somebody else."""
        with self._notices_lock:
            notices, self._notices = self._notices, []
            return notices

    def _check_there(self) -> None:
        """Refuse to go on where the folder of the project is gone."""
        if not (self.path / FILE).is_file():
            raise NotSavedError(f"{self.path} is not there any more.", "Connect the disk or network share again.")

    def _check_owner(self) -> None:
        """Refuse a change of a project that another program has."""
        if self.owner is not None:
            raise LockedError(
                f"The project {self.name} can only be read here: it was opened by {self.owner}.",
                "Close it there, then open it here again.",
            )

    def _take(self) -> None:
        """Take the project for a change."""
        self.claim()
        self._check_owner()

    def _folder(self, name: str) -> Path:
        """Return a folder of the project, made when it is missing."""
        return make_folder(self.path / name)

    def _file(self, name: str) -> Path:
        """Return the path of the annotation file of an image."""
        return own(self.path, self.path / "annotations" / f"{name}.h5")

    def _read(self, name: str, read: Callable[[Path], T]) -> tuple[T, bool]:
        """Read the annotation file of an image, or its backup; return also whether the file itself was sound."""
        path = self._file(name)
        try:
            return read(path), True
        except DamagedError as error:
            with self._lock:
                found, notice = recovered(self.path, path, read, error, repair=self._writer.held)
            with self._notices_lock:
                if notice not in self._notices:
                    log.warning(notice)
                    self._notices.append(notice)
            return found, False
