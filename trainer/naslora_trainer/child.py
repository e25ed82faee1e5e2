"""How a process that works for another one behaves: it yields, it can be stopped, it does not outlive its parent."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import psutil

NICENESS = 10
#: A file that asks to stop is looked for so often, in s.
LOOK_S = 0.2


def lower_priority() -> None:
    """Let every other program go first; to be called before the first thread is started.

    On Linux it runs only where a core is free. Niceness is not enough there: the threads of a prediction wait for each
    other, and with one of them held up for the share of a nice process a click took nine times as long (2 cores, 6.18).
    """
    with suppress(Exception):
        if os.name == "nt":
            psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        else:
            os.nice(NICENESS)
            if hasattr(os, "SCHED_IDLE"):
                os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def take_stdout() -> IO[bytes]:
    """Return standard output for events alone; what anybody prints goes to standard error from now on."""
    sys.stdout.flush()
    events = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return events


def this_process() -> dict[str, Any]:
    """Return what tells this process from all others: user, host, pid, and when it started, in s since 1970."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = "somebody"
    started = psutil.Process().create_time()
    return {"user": user, "host": socket.gethostname(), "pid": os.getpid(), "started": started, "since": time.time()}


class StopRequest:
    """Whether the process was asked to stop. Call it to know.

    It is asked by a line ``stop`` on standard input, by SIGTERM or Ctrl-C, by a file that appears, and by the end of
    standard input, which means that the parent is gone; after a line ``go on`` that end means nothing. Lines ``pause``
    and ``resume`` say whether it should rest meanwhile.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._paused = threading.Event()
        self._detached = False

    def __call__(self) -> bool:
        return self._asked.is_set()

    @property
    def paused(self) -> bool:
        """Whether the process was asked to rest."""
        return self._paused.is_set()

    def ask(self) -> None:
        """Ask the process to stop."""
        self._asked.set()

    def listen(self, detached: bool = False, file: Path | None = None) -> None:
        """Begin to listen, in the main thread.

        Parameters
        ----------
        detached : bool
            The end of standard input means nothing.
        file : Path, optional
            The file that asks to stop: any program on any computer that sees the folder can write one.
        """
        self._detached = detached
        if file is not None:
            threading.Thread(target=self._look_for, args=(file,), daemon=True).start()
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
        threading.Thread(target=self._read, args=(source,), daemon=True).start()

    def _look_for(self, file: Path) -> None:
        while not file.exists():
            if self._asked.wait(LOOK_S):
                return
        self.ask()

    def _read(self, source: int) -> None:
        rest = b""
        while chunk := _some(source):
            *lines, rest = (rest + chunk).split(b"\n")
            rest = rest[-64:]
            words = [line.strip() for line in lines]
            for word in words:
                if word == b"pause":
                    self._paused.set()
                elif word == b"resume":
                    self._paused.clear()
            self._detached |= b"go on" in words
            if b"stop" in words:
                self.ask()
        if not self._detached:
            self.ask()


def _some(source: int) -> bytes:
    """Return what can be read, nothing at the end."""
    try:
        return os.read(source, 4096)
    except OSError:
        return b""
