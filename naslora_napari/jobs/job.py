"""A child process that prints JSON lines."""

from __future__ import annotations

import os
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from naslora_trainer.errors import UserError

from .ending import cancelled, explain
from .stream import LAST, Event, Log, lines_of, parse_event

#: Events that are kept for a reader who does not poll; beyond it the oldest are dropped.
MOST_EVENTS = 10_000
#: After a child's end its pipes are read for at most so long (a grandchild may hold them open), in seconds.
DRAIN_S = 3.0


class Job:
    """A child process whose standard output is one JSON object per line.

    No method but :meth:`wait` blocks, and none needs an event loop. The child stops by itself when this process dies,
    because its standard input then ends.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    cwd : Path, optional
        Its working directory.
    env : mapping, optional
        Its whole environment (see :func:`naslora_napari.jobs.child_environment`).
    log : Path, optional
        File to which everything that is no event is appended.
    what : str
        What the child is, for sentences: "training process".
    """

    def __init__(
        self,
        command: Sequence[str],
        cwd: Path | str | None = None,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
        what: str = "background process",
    ) -> None:
        self.command = [str(part) for part in command]
        self.log = log
        self._cwd, self._env, self._what = cwd, env, what
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._process: subprocess.Popen[bytes] | None = None
        self._finished = threading.Event()
        self._cancelling = threading.Event()
        self._ended = False  # a result or an error was seen

    def start(self) -> None:
        """Start the child.

        Raises
        ------
        UserError
            The program could not be started.
        RuntimeError
            It was started before.
        """
        if self._process is not None:
            raise RuntimeError("a job starts only once")
        try:
            self._process = process = subprocess.Popen(
                self.command,
                cwd=self._cwd,
                env=None if self._env is None else dict(self._env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except (OSError, ValueError) as error:
            raise UserError(
                f"The {self._what} could not be started: {getattr(error, 'strerror', None) or error}.",
                "Run `naslora doctor` to see what is wrong with the installation.",
            ) from error
        assert process.stdout is not None and process.stderr is not None
        log = Log(self.log)
        readers = [
            _thread(self._read_events, process.stdout, log),
            _thread(_read_log, process.stderr, log),
        ]
        _thread(self._finish, process, readers, log)

    def poll(self) -> list[Event]:
        """Return the events since the last call, oldest first; never blocks.

        The last event of a job is a ``result`` or an ``error``: when the child died without one, an ``error`` that says
        what happened, or a ``result`` with status "cancelled" if it was cancelled.
        """
        events = []
        with suppress(IndexError):
            while True:
                events.append(self._events.popleft())
        return events

    @property
    def running(self) -> bool:
        """True from the start until the last event can be polled."""
        return self._process is not None and not self._finished.is_set()

    @property
    def cancelling(self) -> bool:
        """True once it was cancelled or killed by this program."""
        return self._cancelling.is_set()

    @property
    def returncode(self) -> int | None:
        """Exit status; negative: the signal that ended it. None before the end."""
        return None if self._process is None else self._process.returncode

    @property
    def pid(self) -> int | None:
        """Process id, None before the start."""
        return None if self._process is None else self._process.pid

    def cancel(self, grace_s: float = 2.0) -> None:
        """Ask the child to stop; after ``grace_s`` seconds terminate it, after as much again kill it.

        Returns at once. Calling it again, or after the end, does nothing.
        """
        if not self.running or self._cancelling.is_set():
            return
        self._cancelling.set()
        _thread(self._stop, grace_s)

    def pause(self, paused: bool) -> None:
        """Ask the child to rest, or to go on; one that does not know the word goes on."""
        self._tell(b"pause\n" if paused else b"resume\n")

    def kill(self) -> None:
        """End the child at once; it counts as cancelled."""
        if self._process is not None and self.running:
            self._cancelling.set()
            with suppress(OSError):
                self._process.kill()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the last event can be polled, for at most ``timeout`` seconds, and return whether it can."""
        return self._process is None or self._finished.wait(timeout)

    def _read_events(self, pipe: IO[bytes], log: Log) -> None:
        for line in lines_of(pipe):
            event = parse_event(line)
            if event is None:
                log.add(line)
                continue
            self._ended |= event["event"] in LAST
            self._events.append(event)

    def _finish(self, process: subprocess.Popen[bytes], readers: list[threading.Thread], log: Log) -> None:
        """Wait for the end, read what is left, and add the last event where the child could not."""
        code = process.wait()
        for reader in readers:
            reader.join(DRAIN_S)
        if not self._ended:
            stopped = self._cancelling.is_set()
            self._events.append(cancelled() if stopped else explain(self._what, code, log.tail(), self.log))
        for pipe, reader in zip((process.stdout, process.stderr), readers, strict=True):
            # Closing a pipe under a reader that still waits would block.
            if pipe is not None and not reader.is_alive():
                pipe.close()
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        log.close()
        self._finished.set()

    def _stop(self, grace_s: float) -> None:
        process = self._process
        assert process is not None
        self._tell(b"stop\n")
        for harder in (process.terminate, process.kill):
            if self._finished.wait(grace_s):
                return
            with suppress(OSError):
                harder()

    def _tell(self, line: bytes) -> None:
        """Write a line to the child; nothing where it is gone."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError, ValueError):
                os.write(self._process.stdin.fileno(), line)


def _read_log(pipe: IO[bytes], log: Log) -> None:
    for line in lines_of(pipe):
        log.add(line)


def _thread(target: Callable[..., None], *args: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=args, daemon=True, name=f"naslora-job-{target.__name__}")
    thread.start()
    return thread
