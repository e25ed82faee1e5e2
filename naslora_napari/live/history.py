"""What a person did, step by step, to take it back and to do it again: one stack for all images of a project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..store.steps import MOST_BYTES, MOST_STEPS, Step, StepFiles

#: What all steps together may take in memory, in bytes; the oldest are forgotten first.
LIMIT = 256 * 2**20
#: Bytes of a step besides its pixels, roughly.
_OVERHEAD = 1024


@dataclass
class _Entry:
    """A step in memory, in a file, or in both."""

    step: Step | None = None
    path: Path | None = None
    #: Bytes in memory and on disk.
    nbytes: int = 0
    stored: int = 0


class History:
    """The steps that can be taken back, and those that can be done again.

    Parameters
    ----------
    files : StepFiles or None
        Where the steps are kept for the next time; those that are there already are read when they are needed.
    limit : int
        Memory of all steps, in bytes.
    """

    def __init__(self, files: StepFiles | None = None, limit: int = LIMIT) -> None:
        self._files = files
        self._limit = limit
        done, undone = files.listed() if files else ([], [])
        self._done = [_Entry(path=path, stored=_size(path)) for path in done]
        self._undone = [_Entry(path=path, stored=_size(path)) for path in undone]

    @property
    def to_undo(self) -> Step | None:
        """The step that is taken back next."""
        return self._newest(self._done)

    @property
    def to_redo(self) -> Step | None:
        """The step that is done again next."""
        return self._newest(self._undone)

    def add(self, step: Step) -> None:
        """Remember a step; what was taken back before cannot be done again any more."""
        for entry in self._undone:
            self._forget(entry)
        self._undone.clear()
        path = self._files.write(step) if self._files else None
        self._done.append(_Entry(step, path, step.nbytes + _OVERHEAD, _size(path)))
        self._keep_limits()

    def undone(self) -> None:
        """Say that the step :attr:`to_undo` was taken back."""
        self._move(self._done, self._undone, done=False)

    def redone(self) -> None:
        """Say that the step :attr:`to_redo` was done again."""
        self._move(self._undone, self._done, done=True)

    def _newest(self, entries: list[_Entry]) -> Step | None:
        """Return the last step, read when it is needed; files that are no steps are dropped."""
        while entries:
            entry = entries[-1]
            if entry.step is None and entry.path is not None and self._files is not None:
                entry.step = self._files.read(entry.path)
            if entry.step is not None:
                entry.nbytes = entry.step.nbytes + _OVERHEAD
                return entry.step
            self._forget(entries.pop())
        return None

    def _move(self, source: list[_Entry], target: list[_Entry], done: bool) -> None:
        entry = source.pop()
        if entry.path is not None and self._files is not None:
            entry.path = self._files.mark(entry.path, done)
        target.append(entry)

    def _keep_limits(self) -> None:
        """Forget the oldest steps where memory or disk would hold too much."""
        while sum(entry.nbytes for entry in self._done) > self._limit and len(self._done) > 1:
            self._forget(self._done.pop(0))
        on_disk = [entry for entry in self._done if entry.path is not None]
        stored = sum(entry.stored for entry in on_disk)
        while len(on_disk) > MOST_STEPS or stored > MOST_BYTES:
            oldest = on_disk.pop(0)
            stored -= oldest.stored
            self._forget(oldest)
        self._done = [entry for entry in self._done if entry.step is not None or entry.path is not None]

    def _forget(self, entry: _Entry) -> None:
        """Remove the file of a step."""
        if entry.path is not None and self._files is not None:
            self._files.remove(entry.path)
            entry.path = None


def _size(path: Path | None) -> int:
    """Return the size of a file in bytes; 0 where there is none."""
    try:
        return path.stat().st_size if path is not None else 0
    except OSError:
        return 0
