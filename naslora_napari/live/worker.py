"""One thread for the model's work, in which a newer question overtakes an older one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Done = Callable[[Any, BaseException | None], None]


@dataclass(frozen=True, eq=False)
class _Job:
    work: Callable[[], Any]
    done: Done
    topic: str
    idle: bool


class LatestWorker:
    """Runs jobs in one thread, in order: of waiting jobs on one topic just the newest, and idle ones after all others.

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

    def submit(self, work: Callable[[], Any], done: Done, topic: str = "", idle: bool = False) -> None:
        """Add a job.

        Parameters
        ----------
        work, done : callable
            What is run, and what is told its result.
        topic : str
            Where it is given, the job replaces the waiting one on the same topic.
        idle : bool
            Whether it can wait until nothing else does.

        Raises
        ------
        RuntimeError
            The worker is closed.
        """
        with self._wake:
            if self._closed:
                raise RuntimeError("the worker is closed")
            if topic:
                self._jobs = deque(job for job in self._jobs if job.topic != topic)
            self._jobs.append(_Job(work, done, topic, idle))
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
                job = next((job for job in self._jobs if not job.idle), self._jobs[0])
                self._jobs.remove(job)
                self._running = True
            result, error = self._run_one(job)
            with self._wake:
                self._running = False  # before it is told, so that who is told does not find it busy
            job.done(result, error)

    @staticmethod
    def _run_one(job: _Job) -> tuple[Any, BaseException | None]:
        try:
            return job.work(), None
        except BaseException as error:  # whatever happened is told to the one who asked
            return None, error
