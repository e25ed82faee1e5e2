from __future__ import annotations

import threading
from typing import Any

import pytest

from naslora_napari.live import LatestWorker


def test_jobs_run_in_order_and_only_the_newest_prediction() -> None:
    worker, gate, done = LatestWorker(), threading.Event(), []
    last = threading.Event()

    def note(result: Any, error: BaseException | None) -> None:
        done.append(result)
        if result == "end":
            last.set()

    worker.submit(gate.wait, note)
    for i in range(5):
        worker.submit(lambda i=i: f"predict{i}", note, topic="answer")
        worker.submit(lambda i=i: f"encode{i}", note)
    worker.submit(lambda: "end", note)
    gate.set()
    assert last.wait(5)
    assert done == [True, "encode0", "encode1", "encode2", "encode3", "predict4", "encode4", "end"]
    assert worker.close()


def test_an_error_is_handed_over_and_the_next_job_runs() -> None:
    worker, seen, ended = LatestWorker(), [], threading.Event()

    def note(result: Any, error: BaseException | None) -> None:
        seen.append(type(error))
        if error is None:
            ended.set()

    worker.submit(lambda: 1 / 0, note)
    worker.submit(lambda: 1, note)
    assert ended.wait(5) and seen == [ZeroDivisionError, type(None)]
    worker.close()


def test_closing_drops_what_waits() -> None:
    worker, gate, started, done = LatestWorker(), threading.Event(), threading.Event(), []
    worker.submit(lambda: (started.set(), gate.wait()), lambda *_: done.append("running"))
    worker.submit(lambda: None, lambda *_: done.append("waiting"))
    assert started.wait(5) and worker.busy
    assert not worker.close(timeout=0.05)
    gate.set()
    assert worker.close() and done == ["running"]
    with pytest.raises(RuntimeError, match="closed"):
        worker.submit(lambda: None, lambda *_: None)


def test_who_is_told_of_the_last_result_finds_the_worker_idle() -> None:
    """Else the dock says that it is loading the model until something else happens."""
    worker, ended, busy = LatestWorker(), threading.Event(), []

    def told(result: Any, error: BaseException | None) -> None:
        busy.append(worker.busy)
        ended.set()

    worker.submit(lambda: None, told)
    assert ended.wait(5) and worker.close()
    assert busy == [False]
