"""Jobs with real child processes."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import time
from pathlib import Path

import pytest

from naslora_napari.jobs import Event, Job, run_to_end
from naslora_napari.jobs.job import MOST_EVENTS
from naslora_trainer.errors import UserError

POSIX = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
PRELUDE = "import json, os, signal, sys, time\ndef say(**e): print(json.dumps(e), flush=True)\n"


def job_of(folder: Path, code: str, **options: object) -> Job:
    """Return a job that runs Python code; its path has a space."""
    script = folder / "a child.py"
    script.write_text(PRELUDE + textwrap.dedent(code), encoding="utf-8")
    return Job([sys.executable, "-u", str(script)], what="training process", **options)  # type: ignore[arg-type]


def finish(job: Job, timeout: float = 30) -> list[Event]:
    """Run a job to its end and return all its events."""
    if job.pid is None:
        job.start()
    assert job.wait(timeout)
    assert not job.running
    return job.poll()


def wait_for(job: Job, kind: str, timeout: float = 30) -> list[Event]:
    """Poll until an event of ``kind`` came; return what came."""
    events: list[Event] = []
    end = time.monotonic() + timeout
    while not any(event["event"] == kind for event in events):
        assert time.monotonic() < end, events
        events += job.poll()
        time.sleep(0.01)
    return events


def test_events_come_in_order_and_the_rest_goes_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "the log.txt"
    code = """
    say(event="started", n=1)
    print("not json"); print('{"half": '); print('[1]'); print('{"event": 3}'); print('{"no": "event"}')
    sys.stdout.buffer.write(b"\\xff\\xfe garbage\\n"); sys.stdout.flush()
    print("a word on stderr", file=sys.stderr)
    say(event="result", status="done")
    """
    events = finish(job_of(tmp_path, code, log=log))
    assert [event["event"] for event in events] == ["started", "result"]
    text = log.read_text(encoding="utf-8", errors="replace")
    for line in ("not json", '{"half": ', "[1]", '{"event": 3}', '{"no": "event"}', "garbage", "a word on stderr"):
        assert line in text


def test_a_line_that_comes_in_pieces_is_one_event(tmp_path: Path) -> None:
    code = """
    whole = json.dumps({"event": "result", "text": "\\u00fcml\\u00e4ut" * 20}, ensure_ascii=False).encode()
    for i in range(0, len(whole), 7):
        os.write(1, whole[i:i + 7]); time.sleep(0.002)
    """
    (event,) = finish(job_of(tmp_path, code))  # the last line has no end
    assert event["text"] == "ümläut" * 20


def test_a_flood_does_not_hang_the_child(tmp_path: Path) -> None:
    code = """
    for i in range(30_000):
        print(json.dumps({"event": "progress", "step": i}))
        print("noise " * 10, file=sys.stderr)
    say(event="result", status="done")
    """
    events = finish(job_of(tmp_path, code, log=tmp_path / "log.txt"))
    assert len(events) == MOST_EVENTS
    assert events[-1]["event"] == "result" and events[-2]["step"] == 29_999
    assert (tmp_path / "log.txt").read_text(encoding="utf-8").count("noise") == 300_000


def test_a_line_without_an_end_is_cut(tmp_path: Path) -> None:
    code = """
    os.write(2, b"x" * 3_000_000)
    os.write(1, b"y" * 3_000_000 + b"\\n")
    say(event="result", status="done")
    """
    events = finish(job_of(tmp_path, code, log=tmp_path / "log.txt"))
    assert [event["event"] for event in events] == ["result"]


def test_poll_does_not_wait(tmp_path: Path) -> None:
    job = job_of(tmp_path, "time.sleep(60)")
    job.start()
    begin = time.monotonic()
    assert job.poll() == []
    assert job.running and job.returncode is None
    assert time.monotonic() - begin < 0.5
    job.kill()
    assert job.wait(10)


@POSIX
def test_a_killed_child_is_explained(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    job = job_of(tmp_path, 'say(event="started"); time.sleep(60)', log=log)
    job.start()
    wait_for(job, "started")
    assert job.pid is not None
    os.kill(job.pid, signal.SIGKILL)
    (event,) = finish(job)
    assert event["event"] == "error"
    assert event["message"] == ("The training process was killed, most likely because memory ran out (signal 9).")
    assert "Your labels and the model in use are untouched." in event["hint"]
    assert str(log) in event["hint"]
    assert job.returncode == -9


@POSIX
def test_a_crashed_child_is_explained(tmp_path: Path) -> None:
    (event,) = finish(job_of(tmp_path, "os.kill(os.getpid(), signal.SIGSEGV)"))
    assert event["message"] == "The training process crashed (signal 11, SIGSEGV)."


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("sys.exit(3)", "exit code 3"),
        ("raise ValueError('no such thing')", "ValueError: no such thing"),
        ("raise MemoryError", "memory ran out"),
        ("pass", "without a result"),
    ],
)
def test_an_early_end_is_explained(tmp_path: Path, code: str, words: str) -> None:
    (event,) = finish(job_of(tmp_path, code))
    assert event["event"] == "error" and words in event["message"]


def test_an_error_of_the_child_stays_its_own(tmp_path: Path) -> None:
    job = job_of(tmp_path, 'say(event="error", message="M.", hint="H."); sys.exit(1)')
    (event,) = finish(job)
    assert (event["message"], event["hint"]) == ("M.", "H.")


def test_a_child_that_listens_stops_by_itself(tmp_path: Path) -> None:
    code = """
    say(event="started")
    assert sys.stdin.readline() == "stop\\n"
    say(event="result", status="cancelled", mine=True)
    """
    job = job_of(tmp_path, code)
    job.start()
    wait_for(job, "started")
    begin = time.monotonic()
    job.cancel(grace_s=20)
    assert time.monotonic() - begin < 0.5
    (event,) = finish(job)
    assert event["mine"] and job.returncode == 0


def test_a_child_that_ignores_everything_is_killed(tmp_path: Path) -> None:
    code = """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say(event="started")
    time.sleep(60)
    """
    job = job_of(tmp_path, code)
    job.start()
    wait_for(job, "started")
    job.cancel(grace_s=0.2)
    job.cancel(grace_s=0.2)
    (event,) = finish(job, timeout=10)
    assert (event["event"], event["status"], event["adapter"]) == ("result", "cancelled", None)


@POSIX
def test_a_grandchild_that_holds_the_pipes_does_not_hang_the_job(tmp_path: Path) -> None:
    code = """
    import subprocess
    held = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(8)"])
    say(event="result", status="done")
    """
    begin = time.monotonic()
    (event,) = finish(job_of(tmp_path, code), timeout=20)
    assert event["status"] == "done" and time.monotonic() - begin < 7.9


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    job = Job([str(tmp_path / "nothing here")], what="training process")
    with pytest.raises(UserError, match="training process could not be started"):
        job.start()
    assert not job.running and job.poll() == []
    job.cancel()


def test_a_job_starts_once(tmp_path: Path) -> None:
    job = job_of(tmp_path, "pass")
    finish(job)
    with pytest.raises(RuntimeError):
        job.start()


def test_a_log_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    job = job_of(tmp_path, 'print("x"); say(event="result", status="done")', log=tmp_path / "no" / "log")
    assert [event["event"] for event in finish(job)] == ["result"]


def test_run_to_end_returns_the_result(tmp_path: Path) -> None:
    seen: list[str] = []
    job = job_of(tmp_path, 'say(event="started"); say(event="result", status="done", n=7)')
    result = run_to_end(job, lambda event: seen.append(event["event"]))
    assert result["n"] == 7 and seen == ["started", "result"]


def test_run_to_end_raises_the_error(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        run_to_end(job_of(tmp_path, 'say(event="error", message="M.", hint="H."); sys.exit(1)'))
    assert (caught.value.message, caught.value.hint) == ("M.", "H.")


def test_run_to_end_stops_the_child_when_the_reader_fails(tmp_path: Path) -> None:
    job = job_of(tmp_path, 'say(event="started"); sys.stdin.readline(); say(event="result", status="cancelled")')

    def fail(event: Event) -> None:
        raise ValueError("reader")

    with pytest.raises(ValueError, match="reader"):
        run_to_end(job, fail)
    assert job.wait(10) and job.returncode == 0


@POSIX
def test_ctrl_c_cancels(tmp_path: Path) -> None:
    code = """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    time.sleep(0.5)  # until somebody waits for it
    os.kill(os.getppid(), signal.SIGINT)
    assert sys.stdin.readline() == "stop\\n"
    say(event="result", status="cancelled", mine=True)
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # who starts tests in the background ignores it
    try:
        result = run_to_end(job_of(tmp_path, code))
    finally:
        signal.signal(signal.SIGINT, before)
    assert result["mine"]
