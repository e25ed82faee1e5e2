from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naslora_napari.live import AnnotationSession
from naslora_napari.store import Project
from naslora_trainer.errors import UserError
from naslora_trainer.prompts import Prediction, Prompts


def answer(mask: np.ndarray) -> Prediction:
    return Prediction(mask, 0.9, np.zeros((1, 256, 256), np.float32), mask[None], np.array([0.9]), "litemedsam")


def square(start: int, end: int) -> np.ndarray:
    mask = np.zeros((128, 128), bool)
    mask[start:end, start:end] = True
    return mask


@pytest.fixture
def project(tile: Path, tmp_path: Path) -> Project:
    return Project.create(tmp_path / "p.naslora", [tile])


@pytest.fixture
def session(project: Project) -> AnnotationSession:
    made = AnnotationSession(project)
    made.open(project.images[0].name, project.annotation(project.images[0].name))
    return made


def ask(session: AnnotationSession, mask: np.ndarray) -> None:
    session.set_prompts(Prompts().with_click((12.0, 12.0)))
    session.show(answer(mask))


def test_an_accept_is_on_disk_when_it_returns(session: AnnotationSession, project: Project) -> None:
    ask(session, square(10, 20))
    key = session.accept()
    stored = Project.open(project.path).annotation(session.name)
    assert np.array_equal(stored.labels == key, square(10, 20)) and np.array_equal(stored.labels, session.labels)
    assert stored.objects[key].model == "litemedsam" and stored.objects[key].prompts.points == ((12.0, 12.0),)
    assert session.prompts.empty and session.preview is None


def test_objects_keep_their_pixels(session: AnnotationSession) -> None:
    ask(session, square(10, 20))
    first = session.accept()
    ask(session, square(15, 30))
    second = session.accept()
    assert (session.labels == first).sum() == 100 and (session.labels == second).sum() == 225 - 25
    ask(session, square(12, 14))
    with pytest.raises(UserError, match="covers no free pixel"):
        session.accept()
    assert session.preview is not None


def test_nothing_to_accept_is_a_sentence(session: AnnotationSession) -> None:
    with pytest.raises(UserError, match="no mask to accept"):
        session.accept()


def test_undo_takes_back_prompts_first_then_accepts(session: AnnotationSession, project: Project) -> None:
    ask(session, square(10, 20))
    session.accept()
    session.set_prompts(Prompts(((1.0, 1.0), (2.0, 2.0)), (1, 0)))
    session.undo()
    assert session.prompts.points == ((1.0, 1.0),)
    session.undo()
    assert session.prompts.empty and session.can_undo
    assert session.undo() == 1
    assert not session.labels.any() and session.prompts.points == ((12.0, 12.0),) and session.preview is not None
    assert not Project.open(project.path).annotation(session.name).objects
    session.discard()
    assert session.undo() is None and not session.can_undo


def test_a_full_disk_loses_nothing(
    session: AnnotationSession, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(session, square(10, 20))
    session.accept()
    ask(session, square(40, 50))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        with pytest.raises(UserError, match="disk"):
            session.accept()
    assert session.preview is not None and not session.prompts.empty
    assert set(Project.open(project.path).annotation(session.name).objects) == {1}
    session.accept()
    assert set(Project.open(project.path).annotation(session.name).objects) == {1, 2}


def test_brush_edits_are_stored(session: AnnotationSession, project: Project) -> None:
    ask(session, square(10, 20))
    session.accept()
    painted = session.labels.copy()
    painted[60:70, 60:70] = 5
    painted[10:12] = 0
    assert session.brush(painted) == (1, 5)
    stored = Project.open(project.path).annotation(session.name)
    assert np.array_equal(stored.labels, painted) and stored.objects[5].source == "brush"
    assert session.brush(painted) == ()


def test_a_late_answer_does_not_come_back(session: AnnotationSession) -> None:
    session.set_prompts(Prompts().with_click((3.0, 3.0)))
    session.discard()
    session.show(answer(square(1, 5)))
    assert session.preview is None
