"""What is said about images and objects: kept, and read from files of every older version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslora_napari.store import ObjectInfo, Project
from naslora_napari.store.annotations import VERSION, read_annotation, read_status, write_annotation
from naslora_napari.store.edits import NOTHING, with_review
from naslora_napari.store.records import Annotation, Marks
from naslora_napari.store.steps import Step, StepFiles
from naslora_trainer import hdf5
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import read_snapshot
from naslora_trainer.errors import UserError
from naslora_trainer.prompts import Prompts

SHAPE = (40, 30)
MASK = np.zeros(SHAPE, bool)
MASK[4:9, 5:11] = True


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for name in ("a", "b"):
        iio.imwrite(tmp_path / f"{name}.png", np.zeros(SHAPE, np.uint8))
    return Project.create(tmp_path / "p", [tmp_path / "a.png", tmp_path / "b.png"])


def write_old(path: Path, version: int) -> None:
    """Write an annotation file with one object as version 1, 2 or 3 of the program did."""
    prompts = ['"points": [[6.0, 7.0]]', '"labels": [1]', '"box": null', '"strokes": []', '"outline": []']
    line = "{" + ", ".join(prompts[: 2 + version]) + "}\n"
    names = [("id", "<i4"), ("class", "<i4")]
    texts = [(name, h5py.string_dtype("utf-8", 9)) for name in ("source", "model", "time", "annotator")]
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        hdf5.set_text(file, "schema", "naslora-annotation")
        hdf5.set_text(file, "image", "a")
        file.attrs["version"], file.attrs["complete"] = version, np.bool_(True)
        file.attrs["rows"], file.attrs["columns"] = SHAPE
        file.create_dataset("labels", data=7 * MASK.astype("<i4"), chunks=SHAPE, compression="gzip")
        table = np.array([(7, 1, b"prompt", b"m+1", b"2025", "ä".encode())], [*names, *texts])
        hdf5.set_packed(file, "objects", table, 64)
        hdf5.set_packed(file, "prompts", np.frombuffer(line.encode(), np.uint8), 64)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_files_of_older_versions_are_read_and_brought_up_to_date(project: Project, version: int) -> None:
    path = project.path / "annotations" / "a.h5"
    write_old(path, version)
    found = project.annotation("a")
    info = ObjectInfo(1, "prompt", "m+1", "2025", "ä", Prompts(((6.0, 7.0),), (1,)))
    assert found.objects == {7: info} and np.array_equal(found.labels, 7 * MASK)
    assert found.marks == Marks(complete=True) and project.summary().complete == 1
    project.save("a", with_review(found, "a", 7, "doubtful"))
    project.mark("a", note="look again")
    again = Project.open(project.path).annotation("a")
    assert again.objects[7].review == "doubtful" and again.objects[7].prompts == info.prompts
    assert again.marks == Marks(complete=True, note="look again") and np.array_equal(again.labels, found.labels)
    with h5py.File(path) as file:
        assert file.attrs["version"] == VERSION and file["objects"].dtype.names[-1] == "review"


def test_marks_are_on_disk_and_leave_the_objects_alone(project: Project) -> None:
    project.add_object("a", MASK, ObjectInfo())
    before = project.annotation("a").labels
    note, rois = "Zelle 7 ist doppelt, 細胞\nzweite Zeile", ((0, 0, 20, 30), (30, 2, 40, 9))
    project.mark("a", note=note, rois=rois, skipped=True)
    project.mark("a", complete=True)
    found = Project.open(project.path).annotation("a")
    assert found.marks == Marks(complete=True, note=note, rois=rois)
    assert np.array_equal(found.labels, before)
    project.mark("a", skipped=True)
    project.mark("b", rois=[(0, 0, 1, 1)])
    project.refresh()
    assert [project.status(name).state for name in "ab"] == ["skipped", "in progress"]
    summary = project.summary()
    assert (summary.annotated, summary.complete, summary.skipped) == (1, 0, 1)


@pytest.mark.parametrize(
    ("wrong", "words"), [({"rois": [(0, 0, 41, 5)]}, "not inside"), ({"rois": [(3, 3, 3, 5)]}, "not inside")]
    + [({"note": "x" * 5000}, "4000")],
)  # fmt: skip
def test_marks_that_do_not_fit_are_refused(project: Project, wrong: dict[str, Any], words: str) -> None:
    project.mark("a", note="kept")
    with pytest.raises(UserError, match=words):
        project.mark("a", **wrong)
    assert project.annotation("a").marks == Marks(note="kept")


def test_a_region_beyond_the_image_in_a_file_is_damage(project: Project) -> None:
    project.mark("a", rois=[(0, 0, 5, 5)])
    path = project.path / "annotations" / "a.h5"
    with h5py.File(path, "a") as file:
        file["rois"][0] = (0, 0, 5, 31)
    with pytest.raises(UserError, match="damaged"):
        read_annotation(path, "a", SHAPE)


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=60), st.booleans(), st.lists(st.tuples(*(st.integers(0, 19),) * 4), max_size=5))
def test_marks_come_back(tmp_path_factory: pytest.TempPathFactory, note: str, skipped: bool, corners: list) -> None:
    rois = tuple((r, c, r + 1 + h, c + 1 + w) for r, c, h, w in corners)
    marks = Marks(not skipped, skipped, note, rois)
    path = tmp_path_factory.mktemp("h5") / "a.h5"
    write_annotation(path, "a", Annotation(np.zeros(SHAPE, np.int32), {}, marks))
    if all(row1 <= SHAPE[0] and col1 <= SHAPE[1] for *_, row1, col1 in rois):
        assert read_annotation(path, "a", SHAPE).marks == read_status(path, "a").marks
        kept = note.replace("\0", "").encode("utf-8", "replace").decode()
        assert read_status(path, "a").marks == Marks(not skipped, skipped, kept, rois)


def test_a_review_is_undone_in_the_next_program(project: Project) -> None:
    key = project.add_object("a", MASK, ObjectInfo())
    edit = with_review(project.annotation("a"), "a", key, "doubtful")
    project.save("a", edit)
    project.refresh()
    assert project.status("a").doubtful == 1
    files = project.steps
    assert files.write(Step("a", (Prompts(), Prompts()), edit)) is not None
    (path,), _ = StepFiles(project.path / "history", ["a"]).listed()
    step = files.read(path)
    assert step is not None and step.edit.objects == edit.objects
    project.save("a", step.reversed().edit)
    assert Project.open(project.path).annotation("a").objects[key].review == ""


def test_steps_of_the_first_version_are_read(project: Project) -> None:
    infos = (None, ObjectInfo(1, "brush", "", "2025", "ada"))
    path = project.steps.write(Step("a", (Prompts(), Prompts()), replace(NOTHING, objects={3: infos})))
    assert path is not None
    with h5py.File(path, "a") as file:
        record = file["record"][()].tobytes().replace(b', ""]', b"]")
        assert record.endswith(b"}") and b"2025" in record
        del file["record"]
        hdf5.set_packed(file, "record", np.frombuffer(record, np.uint8), 65536)
        file.attrs["version"] = 1
    step = project.steps.read(path)
    assert step is not None and step.edit.objects == {3: infos}


def test_a_training_hears_of_the_regions(project: Project) -> None:
    project.add_object("a", MASK, ObjectInfo())
    project.mark("a", rois=[(2, 3, 30, 20)])
    (image,) = read_snapshot(project.new_run(FineTuneConfig(steps=9)) / "data.h5")
    assert image.rois == ((2, 3, 30, 20),) and image.known.sum() == 28 * 17 and not image.complete
