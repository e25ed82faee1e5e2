"""Power fails at any moment: what was not flushed is lost or torn, and still the labels are the old or the new ones.

The calls that reach the disk during a real save are recorded. Then each state that a disk may be in after each of them
is built and opened: data that was not flushed is there in full, in half or not at all; in each folder the first so many
of the names that were not flushed are there.
"""

from __future__ import annotations

import itertools
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest

from naslora_napari.live import AnnotationSession
from naslora_napari.store import Project
from naslora_trainer.errors import UserError
from naslora_trainer.prompts import Prediction, Prompts

pytestmark = pytest.mark.skipif(os.name == "nt", reason="folders cannot be flushed there")
SIZE = (16, 16)


@dataclass
class Disk:
    """What a folder was, and the calls that changed it: ("create", name, content), ("rename", old, new), ..."""

    root: Path
    files: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    calls: list[tuple] = field(default_factory=list)
    #: Names of files that are there now.
    live: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """Take what is there as flushed."""
        paths = list(self.root.rglob("*"))
        self.files = {self.name(path): path.read_bytes() for path in paths if path.is_file()}
        self.folders = {self.name(path) for path in paths if path.is_dir()}
        self.live, self.calls = set(self.files), []

    def name(self, path: Any) -> str:
        return Path(path).relative_to(self.root).as_posix()

    def note(self, *call: str) -> None:
        self.calls.append(call)

    def meet(self, path: Any) -> str:
        """Note a file that was written since the last call."""
        name = self.name(path)
        if name not in self.live:
            self.live.add(name)
            self.calls.append(("create", name, Path(path).read_bytes()))
        return name

    def states(self, flushed: bool = True) -> Iterator[tuple[bool, dict[str, bytes], set[str]]]:
        """Return every state after a loss of power, and whether all calls had returned."""
        ends = [i for i, call in enumerate(self.calls) if call[0] in ("flush", "flush folder")] + [len(self.calls)]
        for end in ends:
            yield from self._states_after(self.calls[:end], end == len(self.calls), flushed)

    def _states_after(
        self, calls: list[tuple], complete: bool, flushed: bool
    ) -> Iterator[tuple[bool, dict[str, bytes], set[str]]]:
        waiting: dict[str, list[tuple]] = {}
        done: list[tuple] = []
        safe: set[int] = set()  # which created files were flushed, by the number of their call
        made = {}
        for i, call in enumerate(calls):
            if call[0] == "create":
                made[call[1]] = i
            elif call[0] in ("rename", "link") and call[1] in made:
                made[call[2]] = made[call[1]]
            if call[0] == "flush":
                if flushed and call[1] in made:
                    safe.add(made[call[1]])
            elif call[0] == "flush folder":
                done += waiting.pop(call[1], [])
            else:
                folder = Path(call[2] if call[0] in ("rename", "link") else call[1]).parent.as_posix()
                waiting.setdefault(folder, []).append((i, *call))
        torn = [1.0] if all(i in safe for i in made.values()) else [0.0, 0.5, 1.0]
        for kept in itertools.product(*(range(len(part) + 1) for part in waiting.values())):
            named = [call for count, part in zip(kept, waiting.values(), strict=True) for call in part[:count]]
            for share in torn:
                yield complete, *self._after(sorted(done + named, key=lambda call: call[0]), safe, share)

    def _after(self, calls: list[tuple], safe: set[int], share: float) -> tuple[dict[str, bytes], set[str]]:
        files, folders = dict(self.files), set(self.folders)
        for i, kind, *names in calls:
            if kind == "create":
                content = names[1]
                files[names[0]] = content if i in safe else content[: round(share * len(content))]
            elif kind == "mkdir":
                folders.add(names[0])
            elif kind == "unlink":
                files.pop(names[0], None)
            elif names[0] in files:
                files[names[1]] = files[names[0]] if kind == "link" else files.pop(names[0])
        return {
            name: content for name, content in files.items() if Path(name).parent.as_posix() in folders | {"."}
        }, folders


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """The folder of a project, whose changes are recorded."""
    root = tmp_path / "disk" / "p.naslora"
    disk = Disk(root)
    real: dict[str, Callable] = {
        name: getattr(os, name) for name in ("fsync", "replace", "rename", "link", "mkdir", "unlink")
    }

    def inside(path: Any) -> bool:
        return isinstance(path, (str, os.PathLike)) and Path(path).is_relative_to(root) and Path(path) != root

    def fsync(descriptor: int) -> None:
        found = os.fstat(descriptor)
        same = (path for path in (root, *root.rglob("*")) if path.stat().st_ino == found.st_ino)
        path = next(same, None)
        if path is not None:
            folder = stat.S_ISDIR(found.st_mode)
            disk.note("flush folder" if folder else "flush", disk.name(path) if folder else disk.meet(path))
        real["fsync"](descriptor)

    def moved(kind: str, call: Callable) -> Callable:
        def move(old: Any, new: Any, **options: Any) -> None:
            if inside(old):
                name = disk.meet(old)
                disk.live |= {disk.name(new)}
                disk.live -= {name} if kind == "rename" else set()
                disk.note(kind, name, disk.name(new))
            call(old, new, **options)

        return move

    def mkdir(path: Any, *options: Any, **more: Any) -> None:
        real["mkdir"](path, *options, **more)
        if inside(path):
            disk.note("mkdir", disk.name(path))

    def unlink(path: Any, **options: Any) -> None:
        real["unlink"](path, **options)
        if inside(path):
            disk.live.discard(disk.name(path))
            disk.note("unlink", disk.name(path))

    for name, call in {"fsync": fsync, "mkdir": mkdir, "unlink": unlink}.items():
        monkeypatch.setattr(os, name, call)
    for name, kind in {"replace": "rename", "rename": "rename", "link": "link"}.items():
        monkeypatch.setattr(os, name, moved(kind, real[name]))
    return disk


@pytest.fixture
def session(disk: Disk, tmp_path: Path) -> AnnotationSession:
    disk.root.parent.mkdir()
    iio.imwrite(disk.root.parent / "a.png", np.zeros(SIZE, np.uint8))
    project = Project.create(disk.root, [disk.root.parent / "a.png"])
    session = AnnotationSession(project)
    session.open("a", project.annotation("a"))
    return session


def accept(session: AnnotationSession, row: int) -> None:
    mask = np.zeros(SIZE, bool)
    mask[row] = True
    session.set_prompts(Prompts().with_click((float(row), 1.0)))
    session.show(Prediction(mask, 0.9, np.zeros((1, 256, 256), np.float32), mask[None], np.array([0.9]), "m"))
    session.accept()


def opened(disk: Disk, files: dict[str, bytes], folders: set[str]) -> Project:
    """Return the project as it is found after a loss of power."""
    folder = disk.root.parent / "found"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in sorted(folders):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return Project.open(folder)


def lost(disk: Disk, before: np.ndarray, after: np.ndarray, flushed: bool = True) -> str:
    """Return what is wrong in a state that power may leave; ``before`` and ``after`` are the labels."""
    states = 0
    for complete, files, folders in disk.states(flushed):
        states += 1
        try:
            project = opened(disk, files, folders)
            found = project.annotation("a")
            labels = found.labels.copy()
            again = AnnotationSession(project)
            again.open("a", found)
            if again.undo_image:
                again.undo()
        except UserError as error:
            if "changed elsewhere" not in str(error):  # a step of the history that was not flushed
                return str(error)
        if not any(np.array_equal(labels, one) for one in ((after,) if complete else (before, after))):
            return f"other labels, {'after' if complete else 'during'} the save: {sorted(files)}"
    assert states > 10
    return ""


def recorded(disk: Disk, session: AnnotationSession, action: Callable[[], object]) -> tuple[np.ndarray, np.ndarray]:
    disk.begin()
    before = session.labels.copy()
    action()
    return before, session.labels.copy()


def test_the_first_object_of_an_image(disk: Disk, session: AnnotationSession) -> None:
    assert not lost(disk, *recorded(disk, session, lambda: accept(session, 1)))


def test_a_further_object(disk: Disk, session: AnnotationSession) -> None:
    accept(session, 1)
    assert not lost(disk, *recorded(disk, session, lambda: accept(session, 2)))
    assert not lost(disk, *recorded(disk, session, session.undo))


def test_without_the_flush_it_would_be_lost(disk: Disk, session: AnnotationSession) -> None:
    accept(session, 1)
    assert lost(disk, *recorded(disk, session, lambda: accept(session, 2)), flushed=False)


def test_a_new_class(disk: Disk, session: AnnotationSession) -> None:
    project = Project.open(disk.root)
    disk.begin()
    project.add_class("lesion")
    for complete, files, folders in disk.states():
        names = [c.name for c in opened(disk, files, folders).classes]
        assert names == ["object", "lesion"] or (names == ["object"] and not complete)


def test_a_recovery(disk: Disk, session: AnnotationSession) -> None:
    accept(session, 1)
    before = session.labels.copy()
    accept(session, 2)
    path = disk.root / "annotations" / "a.h5"
    path.write_bytes(path.read_bytes()[:-300])
    disk.begin()
    project = Project.open(disk.root, write=True)
    assert np.array_equal(project.annotation("a").labels, before)
    for _, files, folders in disk.states():
        assert np.array_equal(opened(disk, files, folders).annotation("a").labels, before)
