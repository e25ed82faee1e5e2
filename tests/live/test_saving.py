"""What the disk does not take now waits in memory, and is written when the place is back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from naslora_napari.live import AnnotationSession
from naslora_napari.live.saving import SOONEST_S, save_copies
from naslora_napari.store import ObjectInfo, Project
from naslora_napari.store.annotations import read_annotation
from naslora_napari.store.locking import LockedError, Owner
from naslora_trainer.errors import UserError
from naslora_trainer.prompts import Prediction, Prompts

SIZE = (64, 64)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for name in ("a", "b"):
        iio.imwrite(tmp_path / f"{name}.png", np.zeros(SIZE, np.uint8))
    return Project.create(tmp_path / "p", [tmp_path / "a.png", tmp_path / "b.png"])


@pytest.fixture
def session(project: Project) -> AnnotationSession:
    made = AnnotationSession(project)
    made.open("a", project.annotation("a"))
    return made


def square(start: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[start : start + 8, start : start + 8] = True
    return mask


def accept(session: AnnotationSession, start: int) -> int:
    mask = square(start)
    session.set_prompts(Prompts().with_click((start + 1.0, start + 1.0)))
    session.show(Prediction(mask, 0.9, np.zeros((1, 256, 256), np.float32), mask[None], np.array([0.9]), "m"))
    return session.accept()


@contextmanager
def gone(project: Project) -> Iterator[None]:
    """The network share is not there for a while."""
    away = project.path.with_name("away")
    project.path.rename(away)
    try:
        yield
    finally:
        away.rename(project.path)


@contextmanager
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def replace(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", replace)
        yield


def stored(project: Project, name: str) -> np.ndarray:
    return Project.open(project.path).annotation(name).labels


def test_the_work_goes_on_while_the_place_is_gone(session: AnnotationSession, project: Project) -> None:
    accept(session, 0)
    told: list[int] = []
    session.saving.changed.connect(lambda: told.append(session.saving.count))
    with gone(project):
        accept(session, 10)
        painted = session.labels.copy()
        painted[40:44, 3] = 9
        session.brush(painted)
        session.delete(1)
        assert session.saving.count == 3 == told[-1] and not session.saving.retry()
        assert session.saving.text.startswith("3 changes are not on disk yet: ")
        assert "is not there" in session.saving.text and session.saving.delay_s > SOONEST_S
        session.undo()
        session.undo()
        session.redo()
        with pytest.raises(UserError, match="not there any more"):
            project.annotation("b")  # it does not seem to be empty
        expected = session.labels.copy()
    assert set(np.unique(stored(project, "a"))) == {0, 1}
    assert session.saving.retry() and not session.saving.text and told[-1] == 0
    assert np.array_equal(stored(project, "a"), expected) and set(np.unique(expected)) == {0, 1, 2, 9}


def test_the_next_change_writes_what_waits(
    session: AnnotationSession, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with full(monkeypatch):
        accept(session, 0)
        assert "disk is full" in session.saving.text and not stored(project, "a").any()
    accept(session, 10)
    assert not session.saving.count and np.array_equal(stored(project, "a"), session.labels)


def test_other_images_can_be_worked_on_meanwhile(
    session: AnnotationSession, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    untouched = project.annotation("b")
    with full(monkeypatch):
        accept(session, 0)
        kept = session.waiting("a")
        assert kept is not None and session.waiting("b") is None
        session.open("b", untouched)
        accept(session, 20)
        mask = square(30)
        answer = Prediction(mask, 0.9, np.zeros((1, 256, 256), np.float32), mask[None], np.array([0.9]), "m")
        session.place("a", project.annotation("a"), answer, Prompts(), 1, 7)
        assert session.saving.images == ("a", "b")
        session.open("a", project.annotation("a"))  # the disk does not have it; the session does
        assert set(session.objects) == {1, 7} and session.labels is kept.labels
        session.delete(7)
        session.open("b", project.annotation("b"))
    accept(session, 40)
    assert not session.saving.count
    assert np.array_equal(stored(project, "a") > 0, square(0))
    assert np.array_equal(stored(project, "b") > 0, square(20) | square(40))
    session.undo()
    assert np.array_equal(stored(project, "b") > 0, square(20))


def test_what_is_refused_does_not_wait(session: AnnotationSession, project: Project) -> None:
    accept(session, 0)
    with pytest.raises(UserError, match="no class 9"):
        session.set_class(1, 9)
    project.owner = Owner("anna", "lab-pc3", 77, 0.0, 0.0)
    with pytest.raises(LockedError, match="opened by anna on lab-pc3"):
        accept(session, 10)
    assert not session.saving.count and session.preview is not None and set(session.objects) == {1}


def test_what_waits_can_be_saved_elsewhere(session: AnnotationSession, project: Project, tmp_path: Path) -> None:
    accept(session, 0)
    copies = tmp_path / "copies"
    copies.mkdir()
    with gone(project):
        accept(session, 10)
        waiting = {name: session.waiting(name) for name in session.saving.images}
        (copy,) = save_copies(copies, waiting)
        with pytest.raises(UserError, match="exists already"):
            save_copies(copies, waiting)
    assert np.array_equal(read_annotation(copy, "a", SIZE).labels, session.labels)
    shutil.copy(copy, project.path / "annotations")
    assert np.array_equal(stored(project, "a"), session.labels)


def test_a_change_that_does_not_fit_any_more_stays_and_is_told(
    session: AnnotationSession, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with full(monkeypatch):
        accept(session, 0)
    Project.open(project.path).add_object("a", square(0), ObjectInfo())
    assert not session.saving.retry()
    assert "changed elsewhere" in session.saving.text and session.saving.count == 1
