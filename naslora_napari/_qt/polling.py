"""Events of a child process, ten times a second, in the GUI thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QTimer

from ..jobs import DaskJob, Job, RunJob
from ..jobs.following import AnyJob, Trains
from ..jobs.stream import LAST

POLL_MS = 100
#: A process that takes longer to end, in s, is not waited for.
LONGEST_END_S = 5.0


class Polling(QObject):
    """Polls one job at a time.

    Parameters
    ----------
    parent : QObject
        Owner.
    on_event : callable
        Gets every event; of the ``progress`` events of one poll only the newest.
    on_end : callable
        Called when the process has ended and all its events were handed over.
    """

    def __init__(
        self, parent: QObject, on_event: Callable[[dict[str, Any]], None], on_end: Callable[[], object] = lambda: None
    ) -> None:
        super().__init__(parent)
        self.job: AnyJob | None = None
        #: The last events, and when the process is expected to be gone at the latest: what they say holds then, since
        #: its files may be used by the next one.
        self._last: list[dict[str, Any]] = []
        self._ends: float | None = None
        self._on_end = on_end
        self._on_event = on_event
        self._timer = QTimer(self, interval=POLL_MS)
        self._timer.timeout.connect(self._poll)

    @property
    def running(self) -> bool:
        """True from :meth:`start` until the last event was handed over."""
        return self.job is not None

    @property
    def works_here(self) -> bool:
        """Whether the job computes on this computer. May be asked from any thread."""
        return self.job is not None and not isinstance(self.job, DaskJob)

    def start(self, job: AnyJob) -> None:
        """Start ``job`` and poll it."""
        job.start()
        self._follow(job)

    def attach(self, job: Trains) -> None:
        """Poll a training that was started before."""
        job.attach()
        self._follow(job)

    def cancel(self) -> None:
        """Ask the job to stop."""
        if self.job is not None:
            self.job.cancel()

    def pause(self, paused: bool) -> None:
        """Ask the job to rest, or to go on; a training does not."""
        if isinstance(self.job, Job):
            self.job.pause(paused)

    def let_go(self) -> None:
        """Stop polling; a training goes on without this program."""
        job, self.job = self.job, None
        self._timer.stop()
        if isinstance(job, RunJob | DaskJob):
            job.let_go()

    def close(self) -> None:
        """Stop polling, and the job with it; nothing is handed over any more."""
        self._timer.stop()
        if self.job is not None:
            self.job.cancel()
            self.job = None

    def _follow(self, job: AnyJob) -> None:
        self.job = job
        self._last, self._ends = [], None
        self._timer.start()

    def _poll(self) -> None:
        job = self.job
        if job is None:
            return
        ended = not job.running  # asked before the last poll, so that no event is left behind
        events = [*self._last, *job.poll()]
        self._last = [event for event in events if event["event"] in LAST]
        if self._last and self._ends is None:
            self._ends = time.monotonic() + LONGEST_END_S
        if ended or (self._ends is not None and time.monotonic() > self._ends):
            ended = True
            self.job = None
            self._timer.stop()
        else:
            events = [event for event in events if event["event"] not in LAST]
        newest = max((i for i, event in enumerate(events) if event["event"] == "progress"), default=-1)
        for i, event in enumerate(events):
            if event["event"] != "progress" or i == newest:
                self._on_event(event)
        if ended:
            self._on_end()
