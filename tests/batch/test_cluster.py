"""Real worker processes share the images of a folder; one of them is killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from skimage.measure import label

from naslora_napari.batch.automask import AutoMasks
from naslora_napari.batch.cluster import all_see, connected, on_cluster
from naslora_napari.batch.measure import COLUMNS
from naslora_napari.batch.ngff import read_ngff
from naslora_napari.batch.results import Wanted
from naslora_napari.batch.segment import segment_folder
from naslora_napari.batch.sending import Content, content_of, write_content
from naslora_napari.batch.table import Table
from naslora_napari.batch.work import Model, Task
from naslora_trainer.errors import UserError
from naslora_trainer.images import read_labels

from ..trainer.test_pictures import write_zarr

distributed = pytest.importorskip("distributed")
cloudpickle = pytest.importorskip("cloudpickle")


class Threshold(Model):
    """A quick model; one image of ten squares takes its time, and writes down who works on it."""

    def load(self) -> Model:
        return self

    def segment(self, rgb: np.ndarray) -> AutoMasks:
        labels = label(rgb[..., 0] > 128).astype(np.int32)
        if labels.max() == 10:
            Path(self.base).write_text(str(os.getpid()))
            time.sleep(1.5)
        return AutoMasks(labels, np.full(labels.max(), 0.5))


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

    with connected(2, "") as client:
        assert all_see(client, (tmp_path,), out) and not all_see(client, (tmp_path / "nowhere",), out)
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
        _no_shared_folder(folder, tmp_path / "sent", cluster.scheduler_address, monkeypatch)


def _no_shared_folder(folder: Path, out: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images that are gone here once they are sent are segmented all the same."""
    monkeypatch.setattr("naslora_napari.batch.cluster.all_see", lambda *_: False)
    stack = np.stack([iio.imread(folder / "a.png")] * 3)
    (folder / "sub").mkdir()
    write_zarr(folder / "sub/stack.zarr", [stack], "zyx", 3)

    def taken(path: Path) -> Content:
        found = content_of(path)
        if path.is_relative_to(folder):
            path.rename(folder.parent / path.name)
        return found

    monkeypatch.setattr("naslora_napari.batch.sending.content_of", taken)
    said: list[dict[str, Any]] = []
    options: dict[str, Any] = {"dask": address, "recursive": True, "format": "zarr", "extras": ("overlays",)}
    report = segment_folder(folder, out, on_event=said.append, **options)
    assert (report.images, report.objects) == (2, 2)
    assert [(name, str(folder / name) in why) for name, why in report.failed] == [("broken.png", True)]
    assert any("are sent" in event.get("message", "") for event in said)
    assert np.array_equal(read_ngff(out / "sub/stack.zarr"), (stack > 128).astype(int))
    assert read_ngff(out / "a.zarr").max() == 1 and (out / "overlays/a.png").exists()
    for name in ("a.png", "stack.zarr"):
        (folder.parent / name).rename(folder / ("sub" if name == "stack.zarr" else ".") / name)
    (folder.parent / "broken.png").unlink()
    again = segment_folder(folder, out, resume=True, **options)
    assert (again.images, again.objects, again.failed) == (2, 2, [])
    assert len(Table(out / "measurements.csv", COLUMNS).count("image")) == 2


def test_a_file_of_a_parcel_cannot_lie_elsewhere(tmp_path: Path) -> None:
    for name in ("../a", "/a", "b/../../a"):
        with pytest.raises(ValueError, match="outside"):
            write_content(tmp_path / "x.zarr", {name: b""})
    assert not list(tmp_path.iterdir())
    write_content(tmp_path / "x.zarr", {"b/a": b"1"})
    assert content_of(tmp_path / "x.zarr") == {"b/a": b"1"}


def test_a_cluster_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("naslora_napari.batch.cluster.CONNECT_S", 1)
    with pytest.raises(UserError, match="cannot be reached"), connected(0, "tcp://127.0.0.1:9"):
        pass
    with pytest.raises(UserError, match="no address"), connected(0, "nonsense"):
        pass
