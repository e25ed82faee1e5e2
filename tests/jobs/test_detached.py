"""Real trainings in run folders: ended in every way, left alone and found again."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from naslora_napari.cli import app
from naslora_napari.jobs import RunJob, child_environment, finetune_job
from naslora_napari.jobs.following import Trains
from naslora_napari.jobs.stream import Event, Tail
from naslora_napari.store import Project
from naslora_napari.store.runs import WAITING, adopted, runner, state_of
from naslora_trainer.__main__ import _job
from naslora_trainer.adapter import Adapter
from naslora_trainer.checkpoint import job_digest, load_checkpoint

from .conftest import NewRun

POSIX = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
FOREVER = 100_000


def until(job: Trains, kind: str, timeout: float = 60, **values: object) -> list[Event]:
    """Poll until an event came; return what came."""
    events: list[Event] = []
    end = time.monotonic() + timeout
    while not any(e["event"] == kind and values.items() <= e.items() for e in events):
        assert time.monotonic() < end and job.running, events
        events += job.poll()
        time.sleep(0.02)
    return events


def finish(job: Trains, timeout: float = 60) -> list[Event]:
    """Wait for the end and return the events."""
    assert job.wait(timeout)
    return job.poll()


def stopped(job: Trains) -> tuple[Event, float]:
    """Cancel, and return the last event and after how many seconds it came."""
    begin = time.monotonic()
    job.cancel()
    assert time.monotonic() - begin < 0.2
    last = finish(job, 10)[-1]
    return last, time.monotonic() - begin


def test_it_is_stopped_within_two_seconds_and_goes_on_bit_for_bit(new_run: NewRun, project: Project) -> None:
    whole = project.path.parent / "another machine"
    new_run().rename(whole)
    train_with_script(whole, project.path.parent / "spool.sh")
    assert state_of(whole) == "done"
    run = new_run()
    job = started(run)
    until(job, "progress", step=2)
    last, seconds = stopped(job)
    assert last["status"] == "cancelled" and seconds < 2.2
    assert state_of(run) == "interrupted"
    events = finish(started(run))
    assert events[-1]["status"] == "done" and state_of(run) == "done"
    steps = [event["step"] for event in events if event["event"] == "progress" and event["loss"] is not None]
    assert min(steps) >= 2
    one, two = (Adapter.load(path / "adapter.safetensors") for path in (whole, run))
    assert one.id == two.id
    late = finetune_job(run)
    late.attach()
    assert not late.running and late.poll()[-1] == events[-1]
    assert not adopted(run) and project.adopt(run).stem == run.name and adopted(run)
    done = CliRunner().invoke(app, ["adopt", str(project.path), str(whole), "--json"])
    assert done.exit_code == 0 and Path(json.loads(done.stdout)["adapter"]).name != "another machine.safetensors"


def started(run: Path) -> RunJob:
    job = finetune_job(run, threads=1)
    job.start()
    return job


@POSIX
def test_a_killed_training_is_explained_and_goes_on(new_run: NewRun) -> None:
    run = new_run(steps=FOREVER)
    for stage, state in (("prepare", "over"), ("warm-up", "interrupted")):
        job = started(run)
        until(job, "progress", stage=stage)
        if state == "interrupted":
            wait_until((run / "checkpoint").exists)
        os.kill(job.pid or 0, signal.SIGKILL)
        last = finish(job)[-1]
        assert last["event"] == "error" and "was killed" in last["message"]
        assert str(run / "log.txt") in last["hint"] and "labels and the model in use are untouched" in last["hint"]
        assert state_of(run) == state and runner(run) is None


def wait_until(there: Callable[[], bool], timeout: float = 60) -> None:
    end = time.monotonic() + timeout
    while not there():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_training_is_stopped_before_its_first_step(new_run: NewRun) -> None:
    run = new_run(steps=FOREVER)
    for stage in ("start", "prepare"):
        job = started(run)
        if stage != "start":
            until(job, "progress", stage=stage)
        last, seconds = stopped(job)
        assert last["status"] == "cancelled" and seconds < 2.2 and not job.running


def test_one_that_does_not_listen_is_ended_by_force(new_run: NewRun) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    run = new_run()
    job = RunJob(run, [sys.executable, "-c", code], child_environment(1))
    job.start()
    time.sleep(0.3)
    last, seconds = stopped(job)
    assert last["status"] == "cancelled" and seconds < 2.2


START = """
import sys
from pathlib import Path
from naslora_napari.jobs import finetune_job
job = finetune_job(Path(sys.argv[1]), threads=1)
job.start()
while not any(event["event"] == "progress" and event["step"] for event in job.poll()):
    job.wait(0.05)
if sys.argv[2] == "let go":
    job.let_go()
print(job.pid)
"""


def leave(run: Path, how: str) -> int:
    """Start a training in another program, which ends; return the training's process."""
    done = subprocess.run(
        [sys.executable, "-c", START, str(run), how], capture_output=True, text=True, timeout=90, check=True
    )
    return int(done.stdout)


def test_it_goes_on_without_the_program_and_is_found_and_stopped(new_run: NewRun) -> None:
    run = new_run(steps=FOREVER)
    pid = leave(run, "let go")
    assert psutil.pid_exists(pid) and state_of(run) == "running"
    job = finetune_job(run)
    job.start()  # does not start a second one
    assert job.pid == pid and job.running
    first = until(job, "progress")
    step = max(event.get("step", 0) for event in first)
    until(job, "progress", step=step + 1)
    last, seconds = stopped(job)
    assert last["status"] == "cancelled" and seconds < 2.5
    assert state_of(run) == "interrupted" and kept_step(run) >= 1


def kept_step(run: Path) -> int:
    step: int = load_checkpoint(run / "checkpoint", job_digest(*_job(run)))["step"]
    return step


@POSIX
def test_a_death_is_noticed_by_one_that_did_not_start_it(new_run: NewRun) -> None:
    run = new_run()
    asleep = RunJob(run, [sys.executable, "-c", "import time; time.sleep(60)"], child_environment(1))
    asleep.start()
    job = finetune_job(run)
    job.attach()
    assert job.running and job.poll() == [] and job.pid == asleep.pid
    os.kill(asleep.pid or 0, signal.SIGKILL)  # nobody takes note of its end: it stays as a zombie
    last = finish(job, 10)[-1]
    assert last["event"] == "error" and "while nobody watched it" in last["message"]
    finish(asleep)


def test_it_ends_with_the_program_by_itself(new_run: NewRun) -> None:
    run = new_run(steps=FOREVER)
    pid = leave(run, "end")
    end = time.monotonic() + 10
    while psutil.pid_exists(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert state_of(run) == "interrupted"
    assert Tail(run / "events.jsonl").read()[-1]["status"] == "cancelled"


def test_the_folder_has_all_that_the_settings_name(new_run: NewRun, project: Project, tmp_path: Path) -> None:
    kept = tmp_path / "mine.safetensors"
    kept.write_bytes(b"of a model")
    run = new_run(compare_with=str(kept))
    job = json.loads((run / "job.json").read_text())
    assert job["config"]["compare_with"] == "compare_with.safetensors"
    assert (run / "compare_with.safetensors").read_bytes() == b"of a model"
    assert project.runs() == [run] and state_of(run) == "over"
    (run / WAITING).touch()
    assert state_of(run) == "waiting"
    assert str(tmp_path) not in (run / "job.json").read_text()


def train_with_script(run: Path, spool: Path) -> None:
    """Train a folder with its run.sh, from a copy as SLURM makes one; without a bash as a job."""
    if os.name == "nt":
        finish(started(run))
        return
    spool.write_bytes((run / "run.sh").read_bytes())
    environment = child_environment(1) | {"PYTHON": sys.executable, "PIP_NO_INDEX": "1", "SLURM_SUBMIT_DIR": str(run)}
    subprocess.run(
        ["bash", str(spool)], env=environment, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=120,
        cwd=spool.parent,
    )  # fmt: skip


def test_a_folder_is_prepared_for_another_machine(project: Project, tmp_path: Path) -> None:
    away = tmp_path / "another machine" / "my run"
    command = ["finetune", str(project.path), "--prepare", str(away), "--method", "decoder-only", "--steps", "5"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0
    assert shlex.split(done.stdout.partition("with: ")[2]) == ["naslora", "adopt", str(project.path), str(away)]
    assert {"run.sh", "job.json", "data.h5"} == {path.name for path in away.iterdir()} and not project.runs()
    assert CliRunner().invoke(app, command).exit_code == 1  # not over what is there
    assert CliRunner().invoke(app, ["adopt", str(project.path), str(away)]).exit_code == 1


def test_events_are_read_in_pieces_and_from_the_beginning_of_another_file(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    tail = Tail(path)
    assert tail.read() == []
    path.write_bytes(b'{"event": "started"}\n{"event": "pro')
    assert [event["event"] for event in tail.read()] == ["started"]
    with open(path, "ab") as file:
        file.write(b'gress"}\n\nrubbish\n{"event": "result"}')
    assert [event["event"] for event in tail.read()] == ["progress"]
    assert [event["event"] for event in tail.read(all_of_it=True)] == ["result"]
    path.write_bytes(b'{"event": "started"}\n')
    assert [event["event"] for event in tail.read()] == ["started"]
    assert tail.read(all_of_it=True) == []
