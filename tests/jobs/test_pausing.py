"""A real child that is asked to rest and to go on."""

from __future__ import annotations

import sys
import time

from naslora_napari.jobs import Job, child_environment

CHILD = """
import time
from naslora_trainer.child import StopRequest, take_stdout
stop, out = StopRequest(), take_stdout()
stop.listen()
while not stop():
    out.write(b'{"event": "progress", "paused": %s}\\n' % (b"true" if stop.paused else b"false"))
    time.sleep(0.02)
out.write(b'{"event": "result"}\\n')
"""


def until(job: Job, paused: bool) -> None:
    """Wait for a child that says whether it rests."""
    end = time.monotonic() + 30
    while not any(event.get("paused") is paused for event in job.poll()):
        assert time.monotonic() < end and job.running
        time.sleep(0.02)


def test_a_child_rests_and_goes_on_and_stops_in_a_pause() -> None:
    job = Job([sys.executable, "-c", CHILD], env=child_environment(1))
    job.start()
    until(job, False)
    job.pause(True)
    until(job, True)
    job.pause(False)
    until(job, False)
    job.pause(True)
    until(job, True)
    job.cancel(20)
    assert job.wait(30) and job.poll()[-1]["event"] == "result" and job.returncode == 0
    job.pause(True)  # nobody hears it
