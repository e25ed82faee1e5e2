"""Edits on their way to the store; those that it cannot take now wait in memory, and nothing is dropped."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from psygnal import Signal

from naslora_trainer.errors import NotSavedError, UserError

from ..store.annotations import write_annotation
from ..store.edits import Edit
from ..store.records import Annotation

log = logging.getLogger("naslora_napari")

#: After a failure it is tried again after so many seconds, then after twice as many, and so on up to the second number.
SOONEST_S, LATEST_S = 1.0, 60.0


class EditStore(Protocol):
    """Where edits are kept."""

    def save(self, name: str, *changes: Edit) -> None: ...

    def check(self, *changes: Edit) -> None: ...


class Saving:
    """Hands edits to a store, those of one image in order.

    Parameters
    ----------
    store : EditStore
        The project.

    Attributes
    ----------
    reason : str
        Why something waits, or waited last.
    taken : int
        How many edits were handed to it.
    """

    #: What waits is more or less than before.
    changed = Signal()

    def __init__(self, store: EditStore) -> None:
        self._store = store
        self._waiting: dict[str, list[Edit]] = {}
        self.reason = ""
        self.taken = 0
        self._failures = 0

    @property
    def count(self) -> int:
        """How many edits wait."""
        return sum(map(len, self._waiting.values()))

    @property
    def text(self) -> str:
        """What a person has to know; empty when all is on disk."""
        if not self.count:
            return ""
        return f"{self.count} {'change is' if self.count == 1 else 'changes are'} not on disk yet: {self.reason}"

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the images with edits that wait."""
        return tuple(self._waiting)

    @property
    def delay_s(self) -> float:
        """In how many seconds it should be tried again."""
        return min(LATEST_S, SOONEST_S * 2.0 ** min(self._failures - 1, 30))

    def save(self, name: str, edit: Edit) -> None:
        """Save an edit of an image, after those that wait; where the place is full, gone or read-only, it waits, too.

        Raises
        ------
        UserError
            The store will never take it; it does not wait then.
        """
        self._store.check(edit)
        self.taken += 1
        if name in self._waiting:
            self._waiting[name].append(edit)
            self.retry()
            return
        try:
            self._store.save(name, edit)
        except NotSavedError as error:
            self._waiting[name] = [edit]
            self._failed(error)
            self.changed.emit()
        else:
            self.retry()  # the place may be back

    def retry(self) -> bool:
        """Try to save what waits, and return whether nothing waits any more."""
        if not self._waiting:
            return True
        for name, edits in list(self._waiting.items()):
            try:
                self._store.save(name, *edits)
            except UserError as error:
                self._failed(error)
                if isinstance(error, NotSavedError):
                    break  # it would be the same for the next image
            else:
                del self._waiting[name]
                self._failures = 0
        self.changed.emit()
        return not self._waiting

    def _failed(self, error: UserError) -> None:
        self._failures += 1
        self.reason = str(error)
        log.warning("%s", self.text)


def save_copies(folder: Path, annotations: Mapping[str, Annotation]) -> list[Path]:
    """Write annotation files into a folder, where nothing is replaced, and return them.

    Raises
    ------
    UserError
        A file is there already, or cannot be written.
    """
    paths = {folder / f"{name}.h5": name for name in annotations}
    taken = next((path for path in paths if path.exists()), None)
    if taken is not None:
        raise UserError(f"{taken} exists already.", "Choose an empty folder.")
    for path, name in paths.items():
        write_annotation(path, name, annotations[name])
    return list(paths)
