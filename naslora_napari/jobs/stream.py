"""From the bytes of a pipe to events and log lines."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

Event = dict[str, Any]

#: A line that is longer is cut, so that a child without line ends cannot fill the memory.
LONGEST_LINE = 1 << 20
#: So many last lines of the log are kept for the sentence about a failure.
TAIL_LINES = 40


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
