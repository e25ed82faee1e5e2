"""From the bytes of a pipe to events and log lines."""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

Event = dict[str, Any]
#: Events that are the last of a job.
LAST = ("result", "error")
#: A line that is longer is cut, so that a child without line ends cannot fill the memory.
LONGEST_LINE = 1 << 20
#: So many last lines of the log are kept for the sentence about a failure.
TAIL_LINES = 40
_TAIL_BYTES = 1 << 14


def lines_of(pipe: IO[bytes]) -> Iterator[bytes]:
    """Yield the lines of an unbuffered pipe without their ends, the last one also when it has none."""
    rest = b""
    while chunk := _read(pipe):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if len(rest) > LONGEST_LINE:
            yield rest
            rest = b""
    if rest:
        yield rest


def _read(pipe: IO[bytes]) -> bytes:
    """Return what is there, at least one byte; nothing at the end or when the pipe was closed."""
    try:
        return pipe.read(1 << 16)
    except (OSError, ValueError):
        return b""


class Tail:
    """Reads the events that another process appends to a file.

    Parameters
    ----------
    path : Path
        The file, which may be missing yet. One that was replaced by a shorter one is read from its beginning.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self, all_of_it: bool = False) -> list[Event]:
        """Return the events since the last call, of what is there in whole lines.

        Parameters
        ----------
        all_of_it : bool
            Nobody writes any more: the last line counts without its end as well, and nothing is left for later.
        """
        events: list[Event] = []
        while chunk := self._next(all_of_it):
            events += filter(None, map(parse_event, chunk.split(b"\n")))
            if not all_of_it:
                break
        return events

    def _next(self, all_of_it: bool) -> bytes:
        """Return the next whole lines, a few MiB at most."""
        try:
            with open(self._path, "rb") as file:
                if file.seek(0, os.SEEK_END) < self._offset:
                    self._offset = 0
                file.seek(self._offset)
                chunk = file.read(LONGEST_LINE)
        except OSError:
            return b""
        end = chunk.rfind(b"\n") + 1
        if not end and (all_of_it or len(chunk) == LONGEST_LINE):
            end = len(chunk)
        self._offset += end
        return chunk[:end]


def last_lines(path: Path) -> list[str]:
    """Return the last lines of a log that are not empty."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [line.rstrip() for line in lines if line.strip()][-TAIL_LINES:]


def parse_event(line: bytes) -> Event | None:
    """Return the event of a line, or None when the line is something else."""
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


class Log:
    """The last lines of a child's words, and all of them in a file.

    Parameters
    ----------
    path : Path or None
        The file; it is appended to. A file that cannot be written is done without.
    """

    def __init__(self, path: Path | None) -> None:
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        if path is not None:
            try:
                self._file = open(path, "ab", buffering=0)  # noqa: SIM115  (closed by close)
            except OSError:
                self._file = None

    def add(self, line: bytes) -> None:
        """Add one line."""
        with self._lock:
            self._tail.append(line.decode("utf-8", "replace").rstrip())
            if self._file is not None:
                try:
                    self._file.write(line + b"\n")
                except OSError:  # a full disk must not end the reader, or the child would hang
                    self._close()

    def tail(self) -> list[str]:
        """Return the last lines that are not empty."""
        with self._lock:
            return [line for line in self._tail if line.strip()]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
