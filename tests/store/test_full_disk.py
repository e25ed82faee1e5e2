"""A disk that really is full or read-only: a small file system in memory, where the system lets us mount one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from naslora_napari.live import AnnotationSession
from naslora_napari.store import ObjectInfo, Project
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.errors import UserError

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="only root on Linux can mount"
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_nothing_accepted_is_lost_on_a_full_disk(disk: Path, tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    iio.imwrite(image, np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8))
    project = Project.create(disk / "p", [image])
    mask = np.zeros((64, 64), bool)
    mask[:8, :8] = True
    project.add_object("a", mask, ObjectInfo())
    with open(disk / "ballast", "wb", buffering=0) as ballast, pytest.raises(OSError):
        while True:
            ballast.write(bytes(4096))
    before = everything(project.path)
    for action in (
        lambda: project.add_object("a", mask[::-1], ObjectInfo()),
        lambda: project.remove_object("a", 1),
        lambda: project.set_complete("a", True),
        lambda: project.add_class("lesion"),
        lambda: project.new_run(FineTuneConfig()),
    ):
        with pytest.raises(UserError, match="could not be saved: the disk is full"):
            action()
        assert everything(project.path) == before
    found = project.annotation("a")
    assert set(found.objects) == {1} and not found.complete and len(project.classes) == 1
    (disk / "ballast").unlink()
    assert project.add_object("a", mask[::-1], ObjectInfo()) == 2
    assert set(Project.open(project.path).annotation("a").objects) == {1, 2}


def test_a_read_only_disk_is_said(disk: Path, tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    iio.imwrite(image, np.zeros((8, 8), np.uint8))
    project = Project.create(disk / "p", [image])
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(UserError, match="read-only"):
        project.add_object("a", np.ones((8, 8), bool), ObjectInfo())
    with pytest.raises(UserError, match="read-only"):
        Project.create(disk / "q", [image])
    assert not project.annotation("a").objects


def test_the_session_goes_on_while_the_disk_takes_nothing(disk: Path, tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    iio.imwrite(image, np.zeros((64, 64), np.uint8))
    session = AnnotationSession(Project.create(disk / "p", [image]))
    session.open("a", Project.open(disk / "p.naslora").annotation("a"))

    def paint(key: int) -> None:
        painted = session.labels.copy()
        painted[8 * key] = key
        session.brush(painted)

    def stored() -> set[int]:
        return set(np.unique(Project.open(disk / "p.naslora").annotation("a").labels))

    paint(1)
    with open(disk / "ballast", "wb", buffering=0) as ballast, pytest.raises(OSError):
        while True:
            ballast.write(bytes(4096))
    paint(2)
    assert "the disk is full" in session.saving.text and stored() == {0, 1}
    (disk / "ballast").unlink()
    paint(3)
    assert not session.saving.count and stored() == {0, 1, 2, 3}
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    paint(4)
    session.undo()
    paint(5)
    assert session.saving.count == 3 and "read-only" in session.saving.text and not session.saving.retry()
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert session.saving.retry() and stored() == {0, 1, 2, 3, 5}


def test_a_project_on_a_read_only_disk_is_opened(disk: Path, tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    iio.imwrite(image, np.zeros((8, 8), np.uint8))
    Project.create(disk / "p", [image])
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    project = Project.open(disk / "p.naslora", write=True)
    (notice,) = project.take_notices()
    assert "read-only" in notice and not project.read_only
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert project.add_object("a", np.ones((8, 8), bool), ObjectInfo()) == 1
