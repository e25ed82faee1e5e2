"""A real cluster with one worker, a real training on it, and clients that come and go."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from naslora_napari.jobs import on_worker, training_job
from naslora_napari.jobs.remote import check_address
from naslora_napari.store import Project
from naslora_napari.store.runs import state_of
from naslora_trainer.adapter import Adapter
from naslora_trainer.errors import UserError

from .conftest import NewRun

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[distributed.LocalCluster]:
    """One worker in a process of its own, which declares a GPU, in a folder whose name has a space."""
    folder = tmp_path_factory.mktemp("dask worker")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None, resources={"GPU": 1},
        local_directory=str(folder),
    ) as made:  # fmt: skip
        yield made


def test_it_trains_there_while_clients_come_and_go(
    cluster: distributed.LocalCluster, new_run: NewRun, project: Project
) -> None:
    run = new_run(steps=10)
    first = training_job(run, cluster.scheduler_address)
    first.start()
    seen: list[int] = []
    while len(seen) < 2:
        seen += [event["step"] for event in first.poll() if event["event"] == "progress"]
        assert first.running
        time.sleep(0.05)
    first.let_go()
    assert first.wait(10) and state_of(run) == "running"
    size = (run / "events.jsonl").stat().st_size
    time.sleep(1)  # nobody listens
    assert (run / "events.jsonl").stat().st_size == size

    second = training_job(run)  # knows the address from the folder
    second.start()
    assert second.wait(120)
    events = second.poll()
    assert events[-1]["event"] == "result" and events[-1]["status"] == "done"
    steps = [event["step"] for event in events if event["event"] == "progress" and event["loss"] is not None]
    assert steps == sorted(set(steps)) and steps[-1] == 10 and set(seen) <= {0, *steps}
    times = [event["time"] for event in events]
    assert times == sorted(times) and all(later - earlier < 3 for earlier, later in zip(times, times[1:], strict=False))
    assert state_of(run) == "done" and Adapter.load(project.adopt(run)).meta.report["steps"] == 10
    assert json.loads((run / "report.json").read_text())["status"] == "done"
    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        assert not client.list_datasets()
        assert not any(Path(cluster.workers[0].local_directory).rglob(f"naslora-{run.name}"))


def test_it_is_stopped_there_and_its_checkpoint_comes_home(cluster: distributed.LocalCluster, new_run: NewRun) -> None:
    run = new_run(steps=100_000)
    job = training_job(run, cluster.scheduler_address)
    job.start()
    while not any(event["event"] == "progress" and event["step"] > 1 for event in job.poll()):
        assert job.running
        time.sleep(0.05)
    begin = time.monotonic()
    job.cancel()
    assert job.wait(20) and time.monotonic() - begin < 5
    assert job.poll()[-1]["status"] == "cancelled" and state_of(run) == "interrupted"


def test_a_cluster_that_is_not_there_is_told_and_left(new_run: NewRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("naslora_napari.jobs.remote.CONNECT_S", 0.3)
    run = new_run()
    job = training_job(run, "tcp://127.0.0.1:9")
    job.start()
    end = time.monotonic() + 20
    while not (said := job.poll()):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert said[0]["event"] == "warning" and "cannot be reached" in said[0]["message"]
    job.cancel()
    assert job.wait(20) and job.poll()[-1]["status"] == "cancelled" and state_of(run) == "over"


def test_what_comes_home_is_what_was_sent(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{}")
    files = on_worker.pack(tmp_path, on_worker.HOME)
    assert set(files) == {"report.json"}
    on_worker.unpack(tmp_path, files, on_worker.HOME)
    for name, content in (("report.json", b"[]"), ("../report.json", b"{}"), ("run.sh", b"{}")):
        with pytest.raises(ValueError, match="not what was sent"):
            on_worker.unpack(tmp_path, {name: (content, files["report.json"][1])}, on_worker.HOME)
    assert (tmp_path / "report.json").read_text() == "{}"


@pytest.mark.parametrize("address", ["", "here", "tcp://", "tcp://a b:1", "http://a:1", "file:///etc/passwd"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="no address"):
        check_address(address)
    assert check_address(" tls://gpu:8786 ") == "tls://gpu:8786"
