"""How a process that works for another one behaves: it yields, it can be stopped, it does not outlive its parent."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from typing import IO

NICENESS = 10


def lower_priority() -> None:
    """Let every other program go first; to be called before the first thread is started."""
    with suppress(Exception):
        if os.name == "nt":
            import psutil

            psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        else:
            os.nice(NICENESS)


def take_stdout() -> IO[bytes]:
    """Return standard output for events alone; what anybody prints goes to standard error from now on."""
    sys.stdout.flush()
    events = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return events


class StopRequest:
    """Whether the process was asked to stop. Call it to know.

    It is asked by a line ``stop`` on standard input, by SIGTERM or Ctrl-C, and by the end of standard input, which
    means that the parent is gone.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()

    def __call__(self) -> bool:
        return self._asked.is_set()

    def ask(self) -> None:
        """Ask the process to stop."""
        self._asked.set()

    def listen(self, detached: bool = False) -> None:
        """Begin to listen, in the main thread.

        Parameters
        ----------
        detached : bool
            The end of standard input means nothing.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.ask())
        # A copy is read and the original is emptied: on Windows a library that looks at standard input while it is
        # being read would hang.
        try:
            source = os.dup(0)
            empty = os.open(os.devnull, os.O_RDONLY)
            os.dup2(empty, 0)
            os.close(empty)
        except OSError:  # no standard input at all
            if not detached:
                self.ask()
            return
        threading.Thread(target=self._read, args=(source, detached), daemon=True).start()

    def _read(self, source: int, detached: bool) -> None:
        rest = b""
        while chunk := _some(source):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-64:]
            if any(line.strip() == b"stop" for line in lines):
                self.ask()
        if not detached:
            self.ask()


def _some(source: int) -> bytes:
    """Return what can be read, nothing at the end."""
    try:
        return os.read(source, 4096)
    except OSError:
        return b""
