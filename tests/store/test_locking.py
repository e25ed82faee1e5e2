"""One writer at a time, on this computer and on others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from naslora_napari.store import ObjectInfo, Project
from naslora_napari.store import locking as locking_module
from naslora_napari.store.locking import SILENT_S, LockedError, ProjectLock
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.errors import NotSavedError

MASK = np.eye(8, dtype=bool)
ROOT = Path(__file__).resolve().parents[2]
HOLD = (
    "import sys\n"
    "from naslora_napari.store import Project\n"
    "p = Project.open(sys.argv[1], write=True)\n"
    "print('read only' if p.read_only else 'held', flush=True)\n"
    "sys.stdin.readline()\n"
    "p.close()\n"
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    iio.imwrite(tmp_path / "a.png", np.zeros((8, 8), np.uint8))
    return Project.create(tmp_path / "p", [tmp_path / "a.png"])


@contextmanager
def another_program(project: Project) -> Iterator[subprocess.Popen]:
    """A process that has the project open."""
    path = os.pathsep.join(str(ROOT / part) for part in ("", "trainer", "resources"))
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(project.path)],
        env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def lock_of(project: Project, **changes: object) -> Path:
    """Put up the lock of another program."""
    path = project.path / "project.lock"
    owner = {"user": "anna", "host": "lab-pc3", "pid": 77, "started": 1e9, "since": time.time() - 60}
    path.write_text(json.dumps(owner | changes))
    return path


def test_another_program_makes_it_read_only_until_it_ends(project: Project) -> None:
    with another_program(project) as child:
        second = Project.open(project.path, write=True)
        assert second.read_only and second.owner is not None and second.owner.pid == child.pid
        for action in (
            lambda: second.add_object("a", MASK, ObjectInfo()),
            lambda: second.set_complete("a", True),
            lambda: second.import_labels("a", MASK.astype(int), True),
            lambda: second.add_class("lesion"),
            lambda: second.set_limits("a", (0.0, 1.0)),
            lambda: project.add_object("a", MASK, ObjectInfo()),
        ):
            with pytest.raises(LockedError, match=rf"opened by .+ on {second.owner.host} since \d\d:\d\d"):
                action()
        assert not second.annotation("a").objects and not (project.path / "annotations").exists()
        assert second.cache_dir.is_dir()
        child.communicate("\n")
    third = Project.open(project.path)
    assert not (project.path / "project.lock").exists()
    third.add_object("a", MASK, ObjectInfo())


def test_a_fine_tune_needs_no_lock(project: Project) -> None:
    project.add_object("a", MASK, ObjectInfo())
    project.close()
    lock = lock_of(project)
    before = lock.read_bytes()
    assert (Project.open(project.path).new_run(FineTuneConfig()) / "data.h5").is_file()
    assert lock.read_bytes() == before


def test_a_crash_leaves_no_question(project: Project) -> None:
    with another_program(project) as child:
        child.kill()
        child.wait()
        assert (project.path / "project.lock").exists()
        interrupted = [project.path / part / ".0123456789ab.tmp.h5" for part in ("annotations", "backup/annotations")]
        for path in interrupted:
            path.parent.mkdir(parents=True)
            path.touch()
        again = Project.open(project.path, write=True)
        assert not again.read_only and again.add_object("a", MASK, ObjectInfo()) == 1
        assert not any(path.exists() for path in interrupted)


def test_a_process_of_the_same_number_is_another_one(project: Project) -> None:
    lock_of(project, host=locking_module._host(), pid=os.getppid(), started=1e9)
    assert not Project.open(project.path, write=True).read_only


def test_a_silent_computer_is_asked_about(project: Project) -> None:
    path = lock_of(project)
    os.utime(path, (time.time() - SILENT_S - 60,) * 2)
    found = Project.open(project.path, write=True)
    assert found.read_only and found.silent_s > SILENT_S and str(found.owner).startswith("anna on lab-pc3 since ")
    assert found.claim(force=True) and not found.read_only
    found.add_object("a", MASK, ObjectInfo())
    lock_of(project)  # the other one wakes up and takes it back
    with pytest.raises(LockedError, match="anna"):
        found.set_complete("a", True)
    assert found.read_only


@pytest.mark.parametrize(
    "content",
    ["", "{", "[1]", '{"user": 1}', '{"user":"a","host":"b","pid":-5,"started":0,"since":1e400}', "\0" * 9999],
)
def test_a_damaged_lock_is_somebodys(project: Project, content: str) -> None:
    (project.path / "project.lock").write_text(content)
    found = Project.open(project.path, write=True)
    assert found.read_only and "somebody" in str(found.owner) and found.claim(force=True)


def test_projects_of_one_process_share_the_lock(project: Project) -> None:
    project.add_object("a", MASK, ObjectInfo())
    second = Project.open(project.path, write=True)
    assert not second.read_only
    project.close()
    second.remove_object("a", 1)
    assert second._writer.held
    del second
    assert not (project.path / "project.lock").exists()


def test_of_two_that_take_over_the_last_one_has_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    lock_of(project)
    lock = ProjectLock(project.path)
    placed = lock._place

    def overtaken(exclusive: bool) -> None:
        placed(exclusive)
        lock_of(project, user="otto")

    monkeypatch.setattr(lock, "_place", overtaken)
    owner = lock.claim(force=True)
    assert owner is not None and owner.user == "otto"


def test_where_files_have_one_name_only(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr("os.link", unsupported)
    first = Project.open(project.path, write=True)
    assert not first.read_only and first._writer.held
    for _ in range(2):
        first.set_complete("a", True)
    assert (project.path / "backup" / "annotations" / "a.h5").is_file()


def test_the_owner_is_heard_of_while_it_lives(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking_module, "BEAT_S", 0.02)
    project.claim()
    path = project.path / "project.lock"
    os.utime(path, (1e9, 1e9))
    deadline = time.monotonic() + 10
    while path.stat().st_mtime < 2e9 and project.silent_s > SILENT_S:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_folder_that_is_not_there_is_no_empty_project(project: Project) -> None:
    project.add_object("a", MASK, ObjectInfo())
    (project.path / "project.toml").rename(project.path / "away")
    with pytest.raises(NotSavedError, match="not there any more"):
        project.add_object("a", ~MASK, ObjectInfo())
    (project.path / "away").rename(project.path / "project.toml")
    annotations = project.path / "annotations"
    annotations.rename(project.path / "gone")
    (project.path / "backup").rename(project.path / "gone-too")
    with pytest.raises(NotSavedError, match="not there any more"):
        project.set_complete("a", True)
    (project.path / "gone").rename(annotations)
    project.set_complete("a", True)
    assert set(project.annotation("a").objects) == {1}
