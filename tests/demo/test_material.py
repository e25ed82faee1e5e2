from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naslora_napari.demo.material import FOLDER, UNSEEN, WORKED_ON, prepare
from naslora_napari.store import Project
from naslora_trainer.errors import UserError


def test_the_project_knows_every_outline_but_those_to_be_made(tmp_path: Path) -> None:
    material = prepare(tmp_path, left_open=(3, 8))
    project = Project.open(material.project)
    assert len(project.images) == 9 and project.summary().objects == 82 - 2
    found = project.annotation(WORKED_ON)
    assert not found.complete and not found.labels[np.isin(material.outlines, (3, 8))].any()
    assert not project.annotation(UNSEEN).labels.any() and material.unseen_outlines.any()
    assert len(list(material.batch.glob("*.png"))) == 8


def test_an_earlier_demo_is_replaced_and_other_files_are_not(tmp_path: Path) -> None:
    prepare(tmp_path, ())
    assert prepare(tmp_path, ()).project.is_dir()
    other = tmp_path / "mine"
    (other / FOLDER).mkdir(parents=True)
    (other / FOLDER / "thesis.txt").touch()
    with pytest.raises(UserError, match="was not made by the demo"):
        prepare(other, ())
    assert (other / FOLDER / "thesis.txt").is_file()
