from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from naslora_napari.live import AnnotationSession
from naslora_napari.store import Project
from naslora_napari.store.edits import Edit
from naslora_trainer.errors import UserError
from naslora_trainer.prompts import Prediction, Prompts


def answer(mask: np.ndarray, offset: tuple[int, int] = (0, 0)) -> Prediction:
    low_res = np.zeros((1, 256, 256), np.float32)
    return Prediction(mask, 0.9, low_res, mask[None], np.array([0.9]), "litemedsam", offset)


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


def test_an_object_overwrites_others_when_the_person_wants_that(session: AnnotationSession, project: Project) -> None:
    ask(session, square(10, 20))
    first = session.accept()
    ask(session, square(12, 14))
    session.overlap = "overwrite"
    second = session.accept()
    assert (session.labels == second).sum() == 4 and (session.labels == first).sum() == 96
    ask(session, square(5, 30))
    third = session.accept()
    assert set(session.objects) == {third} == set(Project.open(project.path).annotation(session.name).objects)
    session.undo()
    assert set(session.objects) == {first, second} and (session.labels == first).sum() == 96
    ask(session, np.zeros((128, 128), bool))
    with pytest.raises(UserError, match="no free pixel"):
        session.accept()


def test_nothing_to_accept_is_a_sentence(session: AnnotationSession) -> None:
    with pytest.raises(UserError, match="no mask to accept"):
        session.accept()


def test_undo_and_redo_walk_over_prompts_accepts_and_strokes(session: AnnotationSession, project: Project) -> None:
    ask(session, square(10, 20))
    session.accept()
    session.set_prompts(Prompts(((1.0, 1.0),), (1,)))
    session.set_prompts(Prompts(((1.0, 1.0), (2.0, 2.0)), (1, 0)))
    session.discard()
    painted = session.labels.copy()
    painted[60:70, 60:70] = 5
    session.brush(painted)

    session.undo()
    assert set(session.objects) == {1} and session.prompts.empty
    session.undo()
    assert session.prompts.labels == (1, 0)
    session.undo()
    assert session.prompts.points == ((1.0, 1.0),)
    session.undo()
    assert session.prompts.empty and session.undo_image
    session.undo()
    assert not session.labels.any() and session.prompts.points == ((12.0, 12.0),)
    assert not Project.open(project.path).annotation(session.name).objects
    session.undo()
    assert session.prompts.empty and not session.undo_image
    session.undo()

    for _ in range(6):
        session.redo()
    assert not session.redo_image and np.array_equal(session.labels, painted)
    stored = Project.open(project.path).annotation(session.name)
    assert np.array_equal(stored.labels, painted) and stored.objects == session.objects
    session.undo()
    session.set_prompts(Prompts(((3.0, 3.0),), (1,)))
    assert not session.redo_image  # a new step ends what could be done again


def test_an_undo_waits_for_its_image(tile: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(tile.read_bytes())
    project = Project.create(tmp_path / "two.naslora", [tile, other])
    one, two = (image.name for image in project.images)
    session = AnnotationSession(project)
    session.open(one, project.annotation(one))
    ask(session, square(10, 20))
    session.accept()
    session.set_prompts(Prompts(((50.0, 50.0),), (1,)))
    session.show(answer(square(45, 55)))
    session.open(two, project.annotation(two))
    assert session.prompts.empty and session.undo_image == one
    session.undo()
    assert session.undo_image == one  # nothing happened
    session.open(one, project.annotation(one))
    assert session.prompts.points == ((50.0, 50.0),)  # an unfinished object waits for the person
    session.show(answer(square(45, 55)))
    session.open(two, project.annotation(two))
    ask(session, square(1, 5))
    session.open(one, project.annotation(one))
    assert not session.prompts.empty and session.preview is None  # never the mask of the other image
    session.open(two, project.annotation(two))
    session.undo()
    session.open(one, project.annotation(one))
    session.undo()
    session.undo()
    assert not session.labels.any() and session.redo_image == one


def test_labels_changed_elsewhere_are_not_overwritten_by_an_undo(session: AnnotationSession, project: Project) -> None:
    ask(session, square(10, 20))
    session.accept()
    project.remove_object(session.name, 1)
    session.open(session.name, project.annotation(session.name))
    with pytest.raises(UserError, match="changed elsewhere"):
        session.undo()


def test_objects_are_deleted_reopened_and_given_a_class(session: AnnotationSession, project: Project) -> None:
    project.add_class("cell")
    ask(session, square(10, 20))
    session.accept()
    painted = session.labels.copy()
    painted[60:70, 60:80] = 2
    session.brush(painted)

    session.set_class(1, 2)
    assert Project.open(project.path).annotation(session.name).objects[1].class_id == 2
    with pytest.raises(UserError, match="no class 9"):
        session.set_class(1, 9)
    session.set_prompts(Prompts().with_click((85.0, 85.0)))
    session.show(answer(square(80, 90)))
    session.reopen(1)
    assert session.preview is None  # the mask was another object's
    assert set(session.objects) == {2} and session.prompts.points == ((12.0, 12.0),) and session.class_id == 2
    session.discard()
    session.reopen(2)
    assert not session.objects and session.prompts.box == (60.0, 60.0, 70.0, 80.0)  # painted: it has no prompts
    for _ in range(3):
        session.undo()
    session.discard()
    assert set(session.objects) == {1, 2} and session.objects[1].class_id == 2
    session.delete(2)
    assert not (session.labels == 2).any()
    session.undo()
    assert np.array_equal(session.labels, painted) and session.objects[2].source == "brush"
    for action in (session.delete, session.reopen):
        with pytest.raises(UserError, match="no object 7"):
            action(7)


def test_candidates_come_one_after_the_other(session: AnnotationSession) -> None:
    masks = np.stack([square(10, 20), square(5, 30), square(1, 40)])
    session.set_prompts(Prompts().with_click((12.0, 12.0)))
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    session.show(Prediction(masks[0], 0.9, np.zeros((1, 256, 256), np.float32), masks, scores, "m"))
    for wanted in (1, 2, 0):
        session.next_candidate()
        assert session.preview is not None and np.array_equal(session.preview.mask, masks[wanted])
        assert session.preview.score == pytest.approx(float(scores[wanted]))
    session.next_candidate()
    key = session.accept()
    assert np.array_equal(session.labels == key, masks[1])


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


def test_an_answer_for_a_region_of_the_image_lands_in_its_place(session: AnnotationSession, project: Project) -> None:
    mask = np.zeros((30, 40), bool)
    mask[2:12, 3:13] = True
    mask[25, 35] = True  # a speck
    session.set_prompts(Prompts().with_click((95.0, 87.0)))
    for offset in ((99, 0), (0, 89), (-1, 5)):
        session.show(answer(mask, offset))
        assert session.preview is None
    session.show(answer(mask, (90, 80)))
    session.tidy()
    assert session.preview is not None and session.preview.offset == (90, 80) and not session.preview.mask[25, 35]
    key = session.accept()
    found = Project.open(project.path).annotation(session.name).labels
    assert found[95, 87] == key and not found[:91].any() and not found[:, :82].any()
    assert np.array_equal(found, session.labels)


def test_a_signal_says_which_pixels_changed(session: AnnotationSession) -> None:
    shown = session.labels.copy()

    @session.labels_changed.connect
    def follow(edit: Edit) -> None:
        shown[edit.where] = edit.after

    for start in (10, 40):
        ask(session, square(start, start + 10))
        session.accept()
    session.merge(1, 2)
    session.undo()
    session.delete(1)
    session.undo()
    assert np.array_equal(shown, session.labels) and set(np.unique(shown)) == {0, 1, 2}


def test_strokes_are_found_in_their_window_only(session: AnnotationSession) -> None:
    painted = session.labels.copy()
    painted[60:70, 60:70] = 5
    painted[3, 3] = 6
    assert session.brush(painted, (slice(50, 80), slice(50, 80))) == (5,)
    assert session.brush(painted) == (6,)


def test_undo_goes_on_after_a_restart(session: AnnotationSession, project: Project) -> None:
    ask(session, square(10, 20))
    session.accept()
    ask(session, square(40, 50))
    session.accept()
    session.undo()
    again = AnnotationSession(Project.open(project.path))
    again.open(session.name, project.annotation(session.name))
    assert again.prompts == session.prompts and not again.prompts.empty  # what was left unfinished
    again.redo()
    assert set(again.objects) == {1, 2}
    for _ in range(4):
        again.undo()
    assert not project.annotation(session.name).labels.any() and not again.undo_image
    again.redo()
    again.redo()
    assert set(project.annotation(session.name).objects) == {1}
    project.remove_object(session.name, 1)
    last = AnnotationSession(project)
    last.open(session.name, project.annotation(session.name))
    with pytest.raises(UserError, match="changed elsewhere"):
        last.undo()


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_process_leaves_its_undo_stack(session: AnnotationSession, project: Project) -> None:
    code = (
        "import os, signal, sys, numpy as np\n"
        "from naslora_napari.live import AnnotationSession\n"
        "from naslora_napari.store import Project\n"
        "p = Project.open(sys.argv[1]); name = p.images[0].name\n"
        "s = AnnotationSession(p); s.open(name, p.annotation(name))\n"
        "for i in range(1, 4):\n"
        "    plane = s.labels.copy(); plane[10 * i : 10 * i + 5, 7] = i; s.brush(plane)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join(str(root / part) for part in ("", "trainer", "resources"))
    subprocess.run([sys.executable, "-c", code, str(project.path)], env=os.environ | {"PYTHONPATH": path}, check=False)
    again = AnnotationSession(Project.open(project.path))
    again.open(session.name, project.annotation(session.name))
    for left in ({1, 2, 3}, {1, 2}, {1}, set()):
        assert set(again.objects) == left
        again.undo()


def test_an_object_is_split_and_two_are_merged(session: AnnotationSession, project: Project) -> None:
    project.add_class("cell")
    session.class_id = 2
    ask(session, square(10, 20) | square(30, 50))
    key = session.accept()
    info = session.objects[key]
    assert session.split(key) == (key, key + 1)
    assert np.array_equal(session.labels == key, square(30, 50))  # the largest part
    assert session.objects[key + 1] == info
    session.merge(key + 1, key)
    stored = Project.open(project.path).annotation(session.name)
    assert set(stored.objects) == {key + 1} and (stored.labels == key + 1).sum() == 500
    session.undo()
    session.undo()
    assert set(session.objects) == {key} and (session.labels == key).sum() == 500
    with pytest.raises(UserError, match="with itself"):
        session.merge(key, key)
    with pytest.raises(UserError, match="no object 9"):
        session.merge(key, 9)


def test_clicks_say_where_an_object_is_split(session: AnnotationSession) -> None:
    ask(session, square(10, 30))
    key = session.accept()
    with pytest.raises(UserError, match="no narrow place"):
        session.split(key)
    clicks = Prompts(((20.0, 12.0), (20.0, 27.0), (20.0, 60.0), (15.0, 15.0)), (1, 1, 1, 0))
    session.set_prompts(clicks)
    ids = session.split(key)
    assert len(ids) == 2 and session.prompts.empty
    assert session.labels[20, 12] != session.labels[20, 27] and set(session.labels[square(10, 30)]) == set(ids)
    session.undo()
    assert session.prompts == clicks and set(session.objects) == {key}
