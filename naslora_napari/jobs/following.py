"""What the window and the command line need of a job, wherever it runs."""

from __future__ import annotations

from typing import Protocol

from .stream import Event


class AnyJob(Protocol):
    """A :class:`naslora_napari.jobs.Job`, or one of those that work in a run folder."""

    def start(self) -> None: ...

    def poll(self) -> list[Event]: ...

    def cancel(self) -> None: ...

    def kill(self) -> None: ...

    def wait(self, timeout: float | None = None) -> bool: ...

    @property
    def running(self) -> bool: ...

    @property
    def cancelling(self) -> bool: ...

    @property
    def pid(self) -> int | None: ...


class Trains(AnyJob, Protocol):
    """A training, which may outlive this program."""

    def attach(self) -> None:
        """Follow what was started before, or read what came of it."""

    def let_go(self) -> None:
        """Let it go on when this program ends."""
