"""Real worker processes share the images of a folder; one of them is killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest
from skimage.measure import label

from naslora_napari.batch.cluster import connected, on_cluster
from naslora_napari.batch.results import Wanted
from naslora_napari.batch.segment import segment_folder
from naslora_napari.batch.work import Model, Task
from naslora_trainer.errors import UserError
from naslora_trainer.images import read_labels

distributed = pytest.importorskip("distributed")
cloudpickle = pytest.importorskip("cloudpickle")


class Threshold(Model):
    """A quick model; one image of ten squares takes its time, and writes down who works on it."""

    def load(self) -> Model:
        return self

    def segment(self, rgb: np.ndarray) -> SimpleNamespace:
        labels = label(rgb[..., 0] > 128).astype(np.int32)
        if labels.max() == 10:
            Path(self.base).write_text(str(os.getpid()))
            time.sleep(1.5)
        return SimpleNamespace(labels=labels, confidence=np.full(labels.max(), 0.5))


@pytest.fixture(autouse=True)
def by_value() -> Iterator[None]:
    """Workers cannot import the tests."""
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


@pytest.fixture
def tasks(tmp_path: Path) -> list[Task]:
    made = []
    for number in range(1, 13):
        image = np.zeros((20, 150), np.uint8)
        for k in range(number):
            image[5:13, 2 + 11 * k : 10 + 11 * k] = 200
        iio.imwrite(tmp_path / f"{number}.png", image)
        made.append(Task(tmp_path / f"{number}.png", f"{number}.png"))
    return made


def test_a_worker_that_is_killed_costs_nothing(tasks: list[Task], tmp_path: Path) -> None:
    out, note = tmp_path / "out", tmp_path / "pid.txt"
    out.mkdir()
    killed: list[int] = []

    def handed() -> Iterator[Task]:
        """Hand out the slow image first, and kill the worker that has begun it."""
        for task in sorted(tasks, key=lambda task: task.name != "10.png"):
            end = time.monotonic() + 60
            while task.name == "7.png" and not note.exists():
                assert time.monotonic() < end
                time.sleep(0.02)
            if note.exists() and not killed:
                killed.append(int(note.read_text()))
                os.kill(killed[0], signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
            yield task

    with connected(2, "", (tmp_path, out)) as client:
        outcomes = list(on_cluster(handed(), Threshold(str(note), None, "cpu"), Wanted(out), client))
    assert killed and int(note.read_text()) != killed[0]  # another process has done it again
    assert not [outcome.error for outcome in outcomes if outcome.error]
    assert sorted(outcome.name for outcome in outcomes) == sorted(task.name for task in tasks)
    for outcome in outcomes:
        count = int(Path(outcome.name).stem)
        assert len(outcome.rows) == outcome.entry["objects"] == count
        assert read_labels(out / f"{count}.tif").max() == count


def test_a_cluster_is_used_and_its_run_resumed(
    tasks: list[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("naslora_napari.batch.segment.Model", Threshold)
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    tasks[0].path.rename(folder / "a.png")
    (folder / "broken.png").write_bytes(b"nonsense")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None, local_directory=str(tmp_path)
    ) as cluster:
        report = segment_folder(folder, out, dask=cluster.scheduler_address)
        assert report.images == report.objects == 1 and [name for name, _ in report.failed] == ["broken.png"]
        again = segment_folder(folder, out, dask=cluster.scheduler_address, resume=True)
        assert again.objects == report.objects and read_labels(out / "a.tif").shape == (20, 150)
        with (
            pytest.raises(UserError, match="does not see"),
            connected(0, cluster.scheduler_address, (tmp_path / "nowhere",)),
        ):
            pass


def test_a_cluster_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("naslora_napari.batch.cluster.CONNECT_S", 1)
    with pytest.raises(UserError, match="cannot be reached"), connected(0, "tcp://127.0.0.1:9", (tmp_path,)):
        pass
    with pytest.raises(UserError, match="no address"), connected(0, "nonsense", (tmp_path,)):
        pass
