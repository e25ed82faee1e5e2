"""A real training is killed and cancelled in each of its stages, and goes on to its end all the same."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from naslora_napari.jobs import RunJob, finetune_job
from naslora_napari.jobs.stream import Event
from naslora_napari.store.runs import runner, state_of

from .conftest import NewRun

STAGES = ("warm-up", "search", "settle", "consolidate", "seeds")
SETTINGS = {"method": "nas-lora", "steps": 10, "blocks": 1, "seed_head": True, "interpolate": False}
WAIT_S = 90.0


def reach(run: Path, stage: str) -> RunJob:
    """Let a training go on until it is in a stage."""
    job = finetune_job(run, threads=1)
    job.start()
    end = time.monotonic() + WAIT_S
    while not any(event.get("stage") == stage for event in job.poll()):
        assert time.monotonic() < end and job.running
        time.sleep(0.01)
    return job


def ended(job: RunJob) -> Event:
    """Return the last event."""
    assert job.wait(WAIT_S)
    return job.poll()[-1]


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_killed_in_every_stage(new_run: NewRun) -> None:
    run = new_run(**SETTINGS)
    for stage in STAGES:
        job = reach(run, stage)
        os.kill(job.pid or 0, signal.SIGKILL)
        last = ended(job)
        assert last["event"] == "error" and "was killed" in last["message"], stage
        assert runner(run) is None and not (run / "adapter.safetensors").exists()
    job = finetune_job(run, threads=1)
    job.start()
    assert ended(job)["status"] == "done" and state_of(run) == "done"


def test_cancelled_in_every_stage(new_run: NewRun) -> None:
    run = new_run(**SETTINGS)
    for stage in STAGES:
        job = reach(run, stage)
        begin = time.monotonic()
        job.cancel()
        assert ended(job)["status"] == "cancelled", stage
        assert time.monotonic() - begin < 2.2, stage
        assert state_of(run) == "interrupted" and not (run / "adapter.safetensors").exists()
    job = finetune_job(run, threads=1)
    job.start()
    assert ended(job)["status"] == "done" and state_of(run) == "done"
