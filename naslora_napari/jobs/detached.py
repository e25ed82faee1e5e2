"""A training process that works in a run folder, by which it is found again."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import psutil

from naslora_trainer.__main__ import EVENTS, RUNNER, STOP
from naslora_trainer.errors import UserError
from naslora_trainer.files import not_saved, write_json

from ..store.locking import Owner, process_of
from ..store.runs import runner
from .ending import cancelled, explain
from .stream import LAST, Event, Tail, last_lines

LOG = "log.txt"
WHAT = "training process"
#: A cancelled process has so many seconds to write a checkpoint and end, before it is killed: the window, which hears
#: of that a little later, promises two.
GRACE_S = 1.5
#: A process that somebody else started is looked for so often, in s.
LOOK_S = 0.25


class RunJob:
    """What :class:`naslora_napari.jobs.Job` is, for the process that trains in a run folder.

    Its events come through ``events.jsonl`` there, so that it does not matter who started it. It stops by itself when
    the program that started it ends, unless :meth:`let_go` was called.

    Parameters
    ----------
    run : Path
        The folder, absolute.
    command : sequence of str
        Program and arguments that train what is in it.
    env : mapping
        The whole environment of the process.
    """

    def __init__(self, run: Path, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.run, self.log = run, run / LOG
        self.command, self._env = list(command), dict(env)
        self._tail = Tail(run / EVENTS)
        self._process: subprocess.Popen[bytes] | None = None
        self._runner: Owner | None = None
        self._started = self._dead = self._ended = False
        self._looked = 0.0
        self._cancelling = threading.Event()

    def start(self) -> None:
        """Start the process; where one works in the folder already, :meth:`attach` to it.

        Raises
        ------
        UserError
            The program could not be started.
        RuntimeError
            It was started before.
        """
        if runner(self.run) is not None:
            return self.attach()
        self._begin()
        try:
            for old in (EVENTS, STOP, RUNNER):
                (self.run / old).unlink(missing_ok=True)
            if self.log.exists():
                os.replace(self.log, self.log.with_suffix(".old.txt"))
            log = open(self.log, "wb", buffering=0)  # noqa: SIM115  (closed below)
        except OSError as error:
            raise not_saved(self.run, error) from error
        with log:
            try:
                self._process = subprocess.Popen(
                    self.command,
                    cwd=self.run,
                    env=self._env,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    bufsize=0,
                    **_OWN_SESSION,  # type: ignore[call-overload]
                )
            except (OSError, ValueError) as error:
                raise UserError(
                    f"The {WHAT} could not be started: {getattr(error, 'strerror', None) or error}.",
                    "Run `naslora doctor` to see what is wrong with the installation.",
                ) from error
        with suppress(UserError, psutil.Error):  # it does so itself, a little later
            write_json(self.run / RUNNER, asdict(process_of(self._process.pid)))

    def attach(self) -> None:
        """Follow the process that works in the folder, or read what one left that has ended."""
        self._begin()
        self._runner = runner(self.run)
        self._dead = self._runner is None

    def poll(self) -> list[Event]:
        """Return the events since the last call, oldest first; the last one is a ``result`` or an ``error``."""
        running = self.running
        events = self._tail.read(all_of_it=not running)
        self._ended |= any(event["event"] in LAST for event in events)
        if self._started and not running and not self._ended:
            self._ended = True
            code = self.returncode
            last = cancelled() if self.cancelling else explain(WHAT, code, last_lines(self.log), self.log)
            events.append(last)
        return events

    @property
    def running(self) -> bool:
        """True from the start until the last event can be polled."""
        if not self._started or self._dead:
            return False
        if self._process is not None:
            self._dead = self._process.poll() is not None
        elif time.monotonic() - self._looked > LOOK_S:
            self._looked = time.monotonic()
            self._dead = runner(self.run) is None
        return not self._dead

    @property
    def cancelling(self) -> bool:
        """True once it was cancelled or killed by this program."""
        return self._cancelling.is_set()

    @property
    def returncode(self) -> int | None:
        """Exit status; negative: the signal that ended it. None before the end, or where it is not known."""
        return None if self._process is None else self._process.returncode

    @property
    def pid(self) -> int | None:
        """Process id, None before the start."""
        if self._process is not None:
            return self._process.pid
        return None if self._runner is None else self._runner.pid

    def cancel(self, grace_s: float = GRACE_S) -> None:
        """Ask the process to write a checkpoint and end; after ``grace_s`` seconds kill it. Returns at once."""
        if not self.running or self.cancelling:
            return
        self._cancelling.set()
        with suppress(OSError):
            (self.run / STOP).touch()
        self._tell(b"stop\n")
        threading.Thread(target=self._insist, args=(grace_s,), daemon=True, name="naslora-job-cancel").start()

    def kill(self) -> None:
        """End the process at once; it counts as cancelled. One on another computer cannot be killed."""
        if not self.running:
            return
        self._cancelling.set()
        with suppress(OSError, psutil.Error):
            if self._process is not None:
                self._process.kill()
            elif self._runner is not None and self._runner.is_here and not self._runner.gone:
                psutil.Process(self._runner.pid).kill()

    def let_go(self) -> None:
        """Let the process go on when this program ends; it is found again by its folder."""
        self._tell(b"go on\n")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the last event can be polled, for at most ``timeout`` seconds, and return whether it can."""
        end = None if timeout is None else time.monotonic() + timeout
        while self.running:
            left = LOOK_S if end is None else min(LOOK_S, end - time.monotonic())
            if left <= 0:
                return False
            if self._process is None:
                time.sleep(left)
            else:
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(left)
        return True

    def _begin(self) -> None:
        if self._started:
            raise RuntimeError("a job starts only once")
        self._started = True

    def _tell(self, line: bytes) -> None:
        """Write to the process, if it is a child of this program."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError, ValueError):
                self._process.stdin.write(line)

    def _insist(self, grace_s: float) -> None:
        if not self.wait(grace_s):
            self.kill()


#: Neither a closed terminal nor Ctrl-C in it reaches the process.
_OWN_SESSION: dict[str, object] = (
    {"creationflags": 0x00000008 | 0x00000200}  # DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP
    if os.name == "nt"
    else {"start_new_session": True}
)
