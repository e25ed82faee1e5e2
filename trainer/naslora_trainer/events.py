"""Events of a training process: one JSON object per line, for a program that reads along."""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from .errors import UserError, is_out_of_memory

Event = dict[str, Any]

#: At most so many progress events a second: more of them would only keep the reader busy.
MOST_PROGRESS_PER_S = 10.0
HEARTBEAT_S = 2.0


class EventWriter:
    """Writes events to a stream and mirrors them in a file. May be called from several threads.

    ``progress`` events that come too fast are held back, and the newest of them is written before the next event of
    another kind, so that the last progress is never lost. A ``heartbeat`` is written every two seconds while the block
    runs. A stream that cannot be written is done without: its reader is gone, which should not end the work. Neither
    should a full disk: the file goes on with the next event that can be written.

    Parameters
    ----------
    stream : binary file
        Gets one line per event, flushed at once.
    mirror : Path, optional
        Gets the same lines; an old file is replaced.
    """

    def __init__(self, stream: IO[bytes], mirror: Path | None = None, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._stream: IO[bytes] | None = stream
        self._torn = False
        self._lock = threading.Lock()
        self._held: Event | None = None
        self._last_progress = -math.inf
        self._closing = threading.Event()
        self._heart = threading.Thread(target=self._beat, args=(heartbeat_s,), daemon=True)
        self._mirror: IO[bytes] | None = None
        if mirror is not None:
            try:
                self._mirror = open(mirror, "wb", buffering=0)  # noqa: SIM115  (closed by __exit__)
            except OSError as error:
                print(f"{mirror} could not be written: {error}", file=sys.stderr)

    def __enter__(self) -> EventWriter:
        self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._heart.join()
        with self._lock:
            self._write_held()
            if self._mirror is not None:
                self._mirror.close()

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Write an event; ``time`` (seconds since 1970) is added where it is missing."""
        stamped = {"time": time.time(), **event}
        with self._lock:
            if event["event"] != "progress":
                self._write_held()
                self._write(stamped)
                return
            self._held = stamped
            if time.monotonic() - self._last_progress >= 1 / MOST_PROGRESS_PER_S:
                self._write_held()

    def _beat(self, every_s: float) -> None:
        while not self._closing.wait(every_s):
            self({"event": "heartbeat"})

    def _write_held(self) -> None:
        if self._held is not None:
            event, self._held = self._held, None
            self._last_progress = time.monotonic()
            self._write(event)

    def _write(self, event: Event) -> None:
        line = (json.dumps(plain(event), ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "replace")
        if self._stream is not None:
            try:
                self._stream.write(line)
                self._stream.flush()
            except (OSError, ValueError):
                self._stream = None
        if self._mirror is not None and not self._mirror.closed:
            line = b"\n" + line if self._torn else line  # what was written in part is a line of its own
            try:
                self._torn = self._mirror.write(line) != len(line)
            except OSError:
                self._torn = True


def plain(value: Any) -> Any:
    """Return ``value`` as JSON can hold it: numbers that are not finite become None, paths and the like text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:  # a number of numpy or torch
        return plain(value.item())
    return str(value)


def error_event(error: Exception, doing: str = "The fine-tuning") -> Event:
    """Return the ``error`` event of an exception: a sentence and a hint for a person.

    Parameters
    ----------
    error : Exception
        What happened.
    doing : str
        What could not be finished; begins the sentence.
    """
    if isinstance(error, UserError):
        message, hint = error.message, error.hint
    elif is_out_of_memory(error):
        message = f"{doing} ended because memory ran out."
        hint = "Close other programs, use smaller images or fewer prompts per step, and start again."
    else:
        message = f"{doing} failed with an unexpected error: {type(error).__name__}: {_short(error)}."
        hint = "Please report it together with the log. Labels and the model in use are untouched."
    return {"event": "error", "message": message, "hint": hint}


def _short(error: Exception) -> str:
    return (str(error).strip().split("\n")[0] or "no message")[:300].rstrip(".")
