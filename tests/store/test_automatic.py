"""Objects that a model found wait until a person accepts them: until then nothing learns from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from naslora_napari.store import Project, edits
from naslora_napari.store.automatic import acceptance, by_hand, taken_in
from naslora_napari.store.listing import ImageFilter, status_text
from naslora_napari.store.records import Annotation, Marks, ObjectInfo
from naslora_trainer.data import areas_in
from naslora_trainer.images import LARGEST_LABEL

PLANES = arrays(np.int32, (6, 7), elements=st.integers(0, 4))
ACCEPTED, AUTOMATIC = ObjectInfo(), ObjectInfo(source="automatic", model="m")


def annotation(labels: np.ndarray, info: ObjectInfo = ACCEPTED) -> Annotation:
    areas = areas_in(labels)
    return Annotation(labels.copy(), dict.fromkeys(areas, info), areas=areas)


@given(PLANES, PLANES, st.booleans())
def test_what_is_there_keeps_every_pixel(there: np.ndarray, found: np.ndarray, high: bool) -> None:
    there = np.where(there > 0, LARGEST_LABEL - there, 0).astype(np.int32) if high else there
    old = annotation(there)
    edit = taken_in(old, found, lambda key: ObjectInfo(key, "automatic"))
    assert edits.fits(old, edit)
    new = annotation(there)
    edits.apply(new, edit)
    assert np.array_equal(new.labels[there > 0], there[there > 0]) and new.areas == areas_in(new.labels)
    for key, (_, info) in edit.objects.items():
        assert info is not None
        own = found == info.class_id
        assert np.array_equal(new.labels == key, own & (there == 0))
        assert 2 * np.count_nonzero(own & (there > 0)) <= np.count_nonzero(own)
    for settled in (Marks(complete=True), Marks(rois=((0, 0, 6, 7),))):
        assert taken_in(replace(old, marks=settled), found, lambda key: AUTOMATIC).empty
    again = taken_in(new, found, lambda key: AUTOMATIC)
    kept = {info.class_id for _, info in edit.objects.values() if info is not None}
    assert not kept & set(np.unique(found[again.where])), "what was taken in is not taken in again"


def test_a_correction_accepts_what_it_corrects_and_no_other() -> None:
    old = annotation(np.repeat([[1, 2, 3, 0]], 4, axis=0).astype(np.int32), AUTOMATIC)
    painted = old.labels.copy()
    painted[0, 1] = 1  # 1 grows, 2 gives way
    edit = by_hand(old, edits.painted(old, "a", painted, ObjectInfo(source="brush")))
    assert edits.fits(old, edit) and {key: after.waiting for key, (_, after) in edit.objects.items()} == {1: False}
    painted = old.labels.copy()
    painted[0, 1] = 0
    assert list(by_hand(old, edits.painted(old, "a", painted, ObjectInfo())).objects) == [2]
    painted[:, 1] = 0
    gone = by_hand(old, edits.painted(old, "a", painted, ObjectInfo()))
    assert gone.objects == {2: (AUTOMATIC, None)}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two images of which one has an accepted object and two that wait, one of them in a labelled area."""
    for name in ("a", "b"):
        iio.imwrite(tmp_path / f"{name}.png", np.full((40, 40), 9, np.uint8))
    made = Project.create(tmp_path / "p", [tmp_path / "a.png", tmp_path / "b.png"])
    labels = np.zeros((40, 40), np.int32)
    labels[:5, :5], labels[20:25, 20:25] = 1, 2
    own = np.zeros((40, 40), bool)
    own[30:, 30:] = True
    made.add_object("a", own, ObjectInfo())
    for name in ("a", "b"):
        made.save(name, taken_in(made.annotation(name), labels, lambda key: AUTOMATIC))
    made.mark("a", complete=True, rois=[(0, 0, 10, 10), (28, 28, 40, 40)])
    return made


def test_nothing_learns_from_objects_that_wait(project: Project) -> None:
    (learned,) = project.snapshot(256)
    assert np.unique(learned.labels).tolist() == [0, 1] and not learned.complete
    assert learned.rois == ((28, 28, 40, 40),), "where an object waits, nothing is known to be background"
    fresh = Project.open(project.path)
    assert fresh.summary().objects == 1 and fresh.summary().annotated == 1
    for opened in (project, fresh):
        status = opened.status("b")
        assert (status.objects, status.waiting, status.state) == (0, 2, "in progress")
        assert status_text(status) == "in progress, 2 to review"
        assert ImageFilter(kind="waiting").fits(opened.images[1], status)
    kept = fresh.annotation("a")
    assert fresh.annotation("a").status == fresh.status("a") and kept.accepted().status.waiting == 0


def test_they_are_learned_from_once_they_are_accepted(project: Project) -> None:
    project.save("a", acceptance(project.annotation("a"), {2}))
    assert project.status("a").waiting == 1
    for name in ("a", "b"):
        project.save(name, acceptance(project.annotation(name)))
        assert acceptance(project.annotation(name)).empty
    first, second = project.snapshot(256)
    assert np.unique(first.labels).tolist() == [0, 1, 2, 3] and first.complete and len(first.rois) == 2
    assert np.unique(second.labels).tolist() == [0, 1, 2]
    assert {info.model for info in project.annotation("b").objects.values()} == {"m"}
