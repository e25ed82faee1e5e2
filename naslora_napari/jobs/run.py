"""Following a job to its end in a program without an event loop."""

from __future__ import annotations

from collections.abc import Callable

from naslora_trainer.errors import UserError

from .following import AnyJob
from .stream import LAST, Event

POLL_S = 0.1


def run_to_end(job: AnyJob, on_event: Callable[[Event], None] = lambda event: None) -> Event:
    """Run a job and return its ``result`` event, whose ``status`` is "done" or "cancelled".

    Ctrl-C cancels the job and waits for its end; a second Ctrl-C kills it.

    Parameters
    ----------
    job : Job
        Started or not.
    on_event : callable
        Gets every event. When it raises, the job is cancelled.

    Raises
    ------
    UserError
        The job failed; message and hint are those of its ``error`` event.
    """
    if job.pid is None and not job.running:
        job.start()
    last: Event | None = None
    try:
        while True:
            alive = job.running
            for event in job.poll():
                if event["event"] in LAST:
                    last = event
                on_event(event)
            if not alive:
                break
            _wait(job)
    except BaseException:
        job.cancel()
        raise
    if last is None:
        raise UserError("The background process ended without a result.", "Start again.")
    if last["event"] == "error":
        raise UserError(str(last.get("message", "The job failed.")), str(last.get("hint", "")))
    return last


def _wait(job: AnyJob) -> None:
    """Wait a moment; Ctrl-C asks the job to stop, a second one ends it."""
    try:
        job.wait(POLL_S)
    except KeyboardInterrupt:
        if job.cancelling:
            job.kill()
        job.cancel()
