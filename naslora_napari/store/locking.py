"""One program at a time changes a project: a file in it says which one."""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from naslora_trainer.errors import UserError

from .records import person

log = logging.getLogger("naslora_napari")

FILE = "project.lock"
#: The owner is heard of so often, in s. On another computer it counts as silent after that many; a person decides then.
BEAT_S = 60
SILENT_S = 300
#: A process is told from a later one of the same number by its start, in s; clocks are set now and then.
_SAME_START_S = 60
_LARGEST_FILE = 4096


class LockedError(UserError):
    """Another program has the project; it can be read only."""


@dataclass(frozen=True)
class Owner:
    """A program that has a project open for changes.

    Attributes
    ----------
    user, host : str
        Who, and on which computer.
    pid : int
        Its process.
    started : float
        When the process began, in seconds since 1970.
    since : float
        When it opened the project, likewise.
    """

    user: str
    host: str
    pid: int
    started: float
    since: float

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since)
        today = since.date() == datetime.now().date()
        return f"{self.user} on {self.host} since {since.strftime('%H:%M' if today else '%Y-%m-%d %H:%M')}"

    @property
    def process(self) -> tuple[str, int]:
        """What tells it from others, with its start."""
        return self.host, self.pid

    @property
    def is_here(self) -> bool:
        """Whether it runs on this computer."""
        return self.host == _host()

    @property
    def gone(self) -> bool:
        """Whether it ran on this computer and has ended, so that it cannot come back."""
        if not self.is_here:
            return False
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:  # it has ended, and its parent does not care
                return True
            return abs(process.create_time() - self.started) > _SAME_START_S
        except psutil.NoSuchProcess:
            return True
        except psutil.Error:
            return False

    @property
    def this_one(self) -> bool:
        """Whether it is this very process."""
        return self.process == _this().process and abs(self.started - _this().started) <= _SAME_START_S


class ProjectLock:
    """The lock of one project. All projects of one process share it, as their threads know of each other.

    Parameters
    ----------
    folder : Path
        The project.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._heart: threading.Thread | None = None
        self._stop = threading.Event()

    def owner(self) -> Owner | None:
        """Return who has the project, this process included; None where nobody has it.

        Raises
        ------
        OSError
            The place cannot be read.
        """
        return read_owner(self.path)

    @property
    def claimed(self) -> bool:
        """Whether it was taken by this object, and not given back."""
        return self._heart is not None

    @property
    def held(self) -> bool:
        """Whether this process has the project."""
        with suppress(OSError):
            owner = self.owner()
            return owner is not None and owner.this_one
        return False

    def silent_s(self) -> float:
        """Return for how many seconds the owner was not heard of; 0 where there is no lock."""
        try:
            return max(0.0, time.time() - self.path.stat().st_mtime)
        except OSError:
            return 0.0

    def claim(self, force: bool = False) -> Owner | None:
        """Take the project, or make sure of having it; return who has it in our place.

        Parameters
        ----------
        force : bool
            Take it from whoever has it. One that has ended on this computer loses it anyhow.

        Raises
        ------
        OSError
            The place cannot be written.
        """
        for _ in range(5):
            owner = self.owner()
            if owner is not None and owner.this_one:
                self._beat()
                return None
            if owner is None:
                self._place(exclusive=True)
            elif force or owner.gone:
                log.info("The project was left by %s, and is taken over.", owner)
                self._place(exclusive=False)  # of two that do so the last one has it, which the other one reads next
                force = False
            else:
                return owner
        return self.owner()

    def release(self) -> None:
        """Let others have the project, if it was claimed here."""
        if not self.claimed:
            return
        self._stop.set()
        self._heart = None
        if self.held:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)

    def _place(self, exclusive: bool) -> None:
        """Put up our name; ``exclusive``: nothing happens where there is one."""
        temporary = self.path.with_name(f".{secrets.token_hex(6)}.tmp.lock")
        content = json.dumps(asdict(_this()) | {"since": time.time()}).encode("ascii")
        temporary.write_bytes(content)
        try:
            if not exclusive:
                return os.replace(temporary, self.path)
            with suppress(FileExistsError):
                try:
                    os.link(temporary, self.path)  # whole or not at all
                except FileExistsError:
                    raise
                except OSError:  # a file system without such names
                    with open(self.path, "xb") as file:
                        file.write(content)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _beat(self) -> None:
        """Let others hear of this process every now and then."""
        if self._heart is None:
            self._stop = threading.Event()
            self._heart = threading.Thread(target=_live, args=(self.path, self._stop), name="naslora-lock", daemon=True)
            self._heart.start()


def _live(path: Path, stop: threading.Event) -> None:
    """Touch the lock while it is ours; a place that is gone may come back."""
    while not stop.wait(BEAT_S):
        with suppress(OSError, ValueError):
            owner = _owner_in(path.read_bytes()[:_LARGEST_FILE], 0.0)
            if owner.this_one:
                os.utime(path)


def read_owner(path: Path) -> Owner | None:
    """Return the process that a file names, None where there is no file.

    Raises
    ------
    OSError
        The place cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return _owner_in(file.read(_LARGEST_FILE), os.fstat(file.fileno()).st_mtime)
    except FileNotFoundError:
        return None


def _owner_in(content: bytes, written: float) -> Owner:
    """Return the owner that a lock names; of one that cannot be read no more is known than when it was written."""
    try:
        found = json.loads(content)
        owner = Owner(**{name: kind(found[name]) for name, kind in _KINDS.items()})
        if not 0 < owner.pid < 2**31 or datetime.fromtimestamp(owner.since, UTC).year < 1970:
            raise ValueError("no process or time")
    except (ValueError, TypeError, LookupError, ArithmeticError, OSError, RecursionError):
        return Owner("somebody", "an unknown computer", 0, 0.0, written)
    return owner


_KINDS: dict[str, Any] = {"user": str, "host": str, "pid": int, "started": float, "since": float}


@cache
def _host() -> str:
    return socket.gethostname()


def _this() -> Owner:
    """Return this process."""
    return _process(os.getpid())


@cache
def _process(pid: int) -> Owner:
    return process_of(pid)


def process_of(pid: int) -> Owner:
    """Return a process of this computer.

    Raises
    ------
    psutil.Error
        It has ended.
    """
    return Owner(person() or "somebody", _host(), pid, psutil.Process(pid).create_time(), 0.0)
