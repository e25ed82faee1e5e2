"""``naslora export`` and ``naslora import``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from typer.testing import CliRunner

from naslora_napari.cli import app
from naslora_napari.store import Project
from naslora_trainer.errors import UserError

PLANE = np.kron(np.arange(6, dtype=np.int32).reshape(2, 3), np.ones((9, 9), np.int32))


def naslora(*arguments: object, expect: int = 0) -> Any:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == expect, (result.output, result.exception)
    return result


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "images" / f"{name}.png" for name in "ab"]
    paths[0].parent.mkdir()
    for path in paths:
        iio.imwrite(path, (PLANE * 30).astype(np.uint8))
    return paths


@pytest.mark.parametrize("format", ["labels", "pairs", "coco", "coco-polygons", "yolo", "geojson", "imagej"])
def test_labels_go_out_and_come_back(images: list[Path], tmp_path: Path, format: str) -> None:
    project = Project.create(tmp_path / "p", images)
    project.import_labels("a", PLANE, False)
    again = Project.create(tmp_path / "again", images)
    written = json.loads(naslora("export", project.path, "--format", format, "--out", tmp_path / "o", "--json").stdout)
    assert (written["format"], written["images"], written["objects"]) == (format, 1, 5)
    read = json.loads(naslora("import", again.path, written["out"], "--complete", "--json").stdout)
    assert (read["objects"], read["skipped"], [image["name"] for image in read["images"]]) == (5, [], ["a"])
    assert np.array_equal(again.annotation("a").labels, PLANE) and again.annotation("a").complete
    refused = naslora("export", project.path, "--format", format, "--out", tmp_path / "o", expect=1)
    assert isinstance(refused.exception, UserError) and not refused.stdout
    naslora("export", project.path, "--format", format, "--out", tmp_path / "o", "--overwrite")


def test_what_was_left_out_is_told(images: list[Path], tmp_path: Path) -> None:
    project = Project.create(tmp_path / "p", [images[0]])
    for name in ("a", "b", "c"):
        iio.imwrite(tmp_path / f"{name}_labels.png", PLANE.astype(np.uint8))
    told = naslora("import", project.path, tmp_path)
    assert "10 objects on 2 images (labels)" in told.stdout and "Added images: b" in told.stderr
    assert "Not imported: c. No image of that name" in told.stderr
    twice = naslora("import", project.path, tmp_path, expect=1)
    assert "a. It has 5 objects already" in twice.stderr and "0 objects on 0 images" in twice.stdout
    more = naslora("import", project.path, tmp_path, "--add", expect=1)
    assert "a. 5 left out: Object 1 lies under others. (and 4 more)" in more.stderr


def test_a_wrong_format_is_wrong_use(images: list[Path], tmp_path: Path) -> None:
    project = Project.create(tmp_path / "p", images)
    assert "choose from" in naslora("export", project.path, "--format", "excel", "--out", tmp_path, expect=2).stderr
    assert "labelme" in naslora("import", project.path, tmp_path, "--format", "excel", expect=2).stderr
    naslora("import", project.path, tmp_path, "--format", "coco-polygons", expect=2)
