"""A damaged file is noticed, kept, and replaced by its last good state; a person is told."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import h5py
import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from naslora_napari.store import ObjectInfo, Project
from naslora_napari.store.annotations import read_annotation
from naslora_napari.store.sealing import as_written
from naslora_trainer import hdf5
from naslora_trainer.errors import DamagedError, UserError

SIZE = (20, 30)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    iio.imwrite(tmp_path / "a.png", np.zeros(SIZE, np.uint8))
    project = Project.create(tmp_path / "p", [tmp_path / "a.png"], ("cell", "lesion"))
    for row in (1, 2):
        mask = np.zeros(SIZE, bool)
        mask[row] = True
        project.add_object("a", mask, ObjectInfo(row))
    return project


def file_of(project: Project) -> Path:
    return project.path / "annotations" / "a.h5"


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1 << place % 8
    path.write_bytes(content)


def test_a_damaged_file_is_recovered_and_kept(project: Project) -> None:
    path = file_of(project)
    flip(path, 2000)
    damaged = path.read_bytes()
    assert set(project.annotation("a").objects) == {1}  # the state before the last change
    (notice,) = project.take_notices()
    assert "a.h5 is damaged" in notice and "the state of 20" in notice and "a.h5.damaged" in notice
    assert not project.take_notices()
    assert path.with_name("a.h5.damaged").read_bytes() == damaged
    project.add_object("a", np.eye(*SIZE, 8, dtype=bool), ObjectInfo())
    assert set(Project.open(project.path).annotation("a").objects) == {1, 2}
    flip(path, 900)
    assert set(project.annotation("a").objects) == {1} and path.with_name("a.h5.damaged-2").exists()


def test_who_only_reads_repairs_nothing(project: Project) -> None:
    project.close()
    flip(file_of(project), 2000)
    damaged = file_of(project).read_bytes()
    reader = Project.open(project.path)
    assert reader.summary().objects == 1 and set(reader.annotation("a").objects) == {1}
    assert len(reader.snapshot(256)) == 1 and "was taken from" in reader.take_notices()[0]
    assert file_of(project).read_bytes() == damaged
    mask = np.zeros(SIZE, bool)
    mask[9] = True
    assert reader.add_object("a", mask, ObjectInfo()) == 2  # now it repairs
    found = Project.open(project.path).annotation("a")
    assert set(np.unique(found.labels[[1, 9]])) == {1, 2}


def test_a_file_that_is_gone_comes_back(project: Project) -> None:
    file_of(project).unlink()
    again = Project.open(project.path)
    mask = np.zeros(SIZE, bool)
    mask[9] = True
    again.add_object("a", mask, ObjectInfo())
    assert set(Project.open(project.path).annotation("a").objects) == {1, 2}
    assert any("does not exist" in notice for notice in again.take_notices())


def test_with_both_damaged_it_is_refused(project: Project) -> None:
    flip(file_of(project), 2000)
    flip(project.path / "backup" / "annotations" / "a.h5", 2000)
    with pytest.raises(DamagedError, match="a.h5 is damaged"):
        project.annotation("a")
    assert file_of(project).exists() and not file_of(project).with_name("a.h5.damaged").exists()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 2**20))
def test_no_bit_can_change_unnoticed(project: Project, place: int) -> None:
    sound = file_of(project).read_bytes()
    flip(file_of(project), place)
    with pytest.raises(DamagedError):
        read_annotation(file_of(project), "a", SIZE)
    file_of(project).write_bytes(sound)


def test_another_program_may_edit_an_annotation(project: Project) -> None:
    with h5py.File(file_of(project), "a") as file:
        file["labels"][5, 5] = 2
    found = Project.open(project.path).annotation("a")
    assert found.labels[5, 5] == 2
    project.set_complete("a", True)
    assert hdf5.SEAL in file_of(project).read_bytes() and project.annotation("a").labels[5, 5] == 2


def test_a_project_file_edited_by_hand_holds_and_is_told(project: Project) -> None:
    project.add_class("spot")
    assert not Project.open(project.path).take_notices()
    path = project.path / "project.toml"
    assert as_written(path.read_bytes())
    path.write_text(path.read_text().replace("lesion", "wound"))
    found = Project.open(project.path)
    assert found.classes[1].name == "wound"
    (notice,) = found.take_notices()
    assert "(class 2)" in notice and "backup/project.toml" in notice.replace(os.sep, "/")
    found.add_class("leaf")
    assert not Project.open(project.path).take_notices() and len(Project.open(project.path).classes) == 4


def test_a_project_file_that_lost_an_image_is_told(project: Project, tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "b.png", np.zeros(SIZE, np.uint8))
    project.add_images([tmp_path / "b.png"])
    path = project.path / "project.toml"
    text = path.read_text()
    path.write_text(text[: text.rindex("[[images]]")])
    (notice,) = Project.open(project.path).take_notices()
    assert "image 'b'" in notice


@pytest.mark.parametrize("content", [b"", b"\0" * 500, b"\xff\xfe\x00"])
def test_a_project_file_that_is_no_text_is_recovered(project: Project, content: bytes) -> None:
    path = project.path / "project.toml"
    sound = path.read_bytes()
    path.write_bytes(content)
    found = Project.open(project.path)
    assert [c.name for c in found.classes] == ["cell", "lesion"] and "was taken from" in found.take_notices()[0]
    assert path.read_bytes() == sound and path.with_name("project.toml.damaged").read_bytes() == content


def test_a_project_file_with_a_slip_is_refused_with_the_way_back(project: Project) -> None:
    path = project.path / "project.toml"
    path.write_text(path.read_text().replace("id = 2", "id == 2"))
    with pytest.raises(UserError, match="is damaged.*What was saved last is in"):
        Project.open(project.path)


def test_a_project_file_of_before_seals_is_read(project: Project) -> None:
    path = project.path / "project.toml"
    path.write_text(path.read_text().partition("\n")[2])
    assert not Project.open(project.path).take_notices()


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_out_of_the_project_are_refused(project: Project, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for name, action in (
        ("annotations", lambda p: p.annotation("a")),
        ("history", lambda p: p.steps),
        ("annotations/a.h5", lambda p: p.add_object("a", np.ones(SIZE, bool), ObjectInfo())),
        ("project.toml", lambda p: Project.open(p.path)),
    ):
        path = project.path / name
        if path.exists():
            path.rename(outside / path.name)
        path.symlink_to(outside / path.name)
        with pytest.raises(UserError, match="leads out of the project"):
            action(project)
        path.unlink()
        if (outside / Path(name).name).exists():
            (outside / Path(name).name).rename(path)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_images_may_be_links_that_the_person_made(project: Project, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "a.png").rename(disk / "a.png")
    (tmp_path / "a.png").symlink_to(disk / "a.png")
    assert project.picture("a").shape == SIZE and project.annotation("a").objects


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_images_that_were_sent_along_may_not_lead_elsewhere(project: Project, tmp_path: Path) -> None:
    inside = project.path / "images"
    inside.mkdir()
    iio.imwrite(inside / "c.png", np.zeros(SIZE, np.uint8))
    project.add_images([inside / "c.png"])
    assert project.picture("c").shape == SIZE
    (inside / "c.png").unlink()
    (inside / "c.png").symlink_to(tmp_path / "a.png")
    with pytest.raises(UserError, match="leads out of the project"):
        project.picture("c")
    (inside / "c.png").unlink()
    os.mkfifo(inside / "c.png")
    with pytest.raises(UserError, match="no file, but a device"):
        project.annotation("c")


def test_notices_are_not_waited_for_while_a_thread_holds_the_project(project: Project) -> None:
    taken: list[list[str]] = []
    asking = threading.Thread(target=lambda: taken.append(project.take_notices()))
    with project._lock:
        asking.start()
        asking.join(10)
        assert taken == [[]]
