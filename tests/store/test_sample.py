"""The sample project is ready for a first fine-tune."""

from __future__ import annotations

from pathlib import Path

import pytest

from naslora_napari.store import Project
from naslora_napari.store.sample import NAME, NEW_IMAGES, TO_LABEL, free_place, make_sample
from naslora_trainer.errors import UserError


def test_most_tiles_are_labelled_and_the_first_are_left_to_the_person(tmp_path: Path) -> None:
    project = Project.open(make_sample(tmp_path / NAME))
    labelled = {entry.name: project.annotation(entry.name) for entry in project.images}
    assert [entry.name for entry in project.images][: len(TO_LABEL)] == list(TO_LABEL)
    assert {name for name, found in labelled.items() if not found.labels.any()} == set(TO_LABEL)
    assert {name for name, found in labelled.items() if found.complete} == set(labelled) - set(TO_LABEL)
    assert [info.name for info in project.classes] == ["nucleus"]
    assert len(list((tmp_path / NAME / NEW_IMAGES).iterdir())) == 8
    assert all(entry.path.is_relative_to(tmp_path / NAME) for entry in project.images)
    assert not project.missing()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    first = free_place(tmp_path)
    make_sample(first)
    second = free_place(tmp_path)
    assert (first.name, second.name) == (NAME, f"{NAME} 2")
    (second).mkdir()
    assert make_sample(second).is_dir()  # an empty folder will do
    before = sorted(tmp_path.rglob("*"))
    for taken in (first, first / "NOTICE"):
        with pytest.raises(UserError, match="exists already"):
            make_sample(taken)
    with pytest.raises(UserError, match="cannot be written"):
        make_sample(first / "NOTICE" / "deeper")
    assert sorted(tmp_path.rglob("*")) == before
