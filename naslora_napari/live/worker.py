"""One thread for the model's work, in which a newer prediction overtakes an older one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Done = Callable[[Any, BaseException | None], None]


@dataclass(frozen=True)
class _Job:
    work: Callable[[], Any]
    done: Done
    latest_only: bool


class LatestWorker:
    """Runs jobs in one thread, in order; of waiting jobs that are ``latest_only`` just the newest is run.

    ``done(result, error)`` is called in that thread, once for every job that was run.

    Parameters
    ----------
    name : str
        Of the thread.
    """

    def __init__(self, name: str = "naslora-model") -> None:
        self._jobs: deque[_Job] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._running = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """True while a job runs or waits."""
        with self._wake:
            return self._running or bool(self._jobs)

    def submit(self, work: Callable[[], Any], done: Done, latest_only: bool = False) -> None:
        """Add a job; with ``latest_only`` it replaces the waiting ones of that kind.

        Raises
        ------
        RuntimeError
            The worker is closed.
        """
        with self._wake:
            if self._closed:
                raise RuntimeError("the worker is closed")
            if latest_only:
                self._jobs = deque(job for job in self._jobs if not job.latest_only)
            self._jobs.append(_Job(work, done, latest_only))
            self._wake.notify()

    def close(self, timeout: float | None = 10.0) -> bool:
        """Drop what waits, let the running job end, and return whether the thread ended in ``timeout`` seconds."""
        with self._wake:
            self._closed = True
            self._jobs.clear()
            self._wake.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._jobs and not self._closed:
                    self._wake.wait()
                if self._closed:
                    return
                job = self._jobs.popleft()
                self._running = True
            try:
                self._run_one(job)
            finally:
                with self._wake:
                    self._running = False

    @staticmethod
    def _run_one(job: _Job) -> None:
        try:
            result = job.work()
        except BaseException as error:  # whatever happened is told to the one who asked
            job.done(None, error)
        else:
            job.done(result, None)
