"""Which images to label next, from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from typer.testing import CliRunner

from naslora_napari.cli import app
from naslora_napari.store import Project
from naslora_resources.samples import sample_folder
from naslora_trainer.images import list_images, read_image


def suggest(project: Path, *arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["suggest", str(project), "--json", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_unfinished_images_are_proposed_and_copies_come_last(tmp_path: Path) -> None:
    first, second = (read_image(path)[:96, :96] for path in list_images(sample_folder("labelled") / "images")[:2])
    for name, image in (("a", first), ("copy", first), ("b", second), ("done", second)):
        iio.imwrite(tmp_path / f"{name}.png", image)
    project = Project.create(tmp_path / "p", [tmp_path / f"{name}.png" for name in ("a", "copy", "b", "done")])
    project.mark("done", complete=True)
    project.close()
    found = suggest(project.path)
    names = [image["name"] for image in found["images"]]
    assert sorted(names) == ["a", "b", "copy"] and {names[0], names[1]} != {"a", "copy"}
    assert all(0 < image["doubt"] < 1 and image["why"] and image["parts"] for image in found["images"])
    assert len(list((project.path / "cache" / "doubts").iterdir())) == 2  # of two contents
    with_objects = Project.open(project.path, write=True)
    with_objects.import_labels("copy", np.pad(np.ones((20, 20), np.int32), (10, 66)), complete=True)
    with_objects.close()
    assert [image["name"] for image in suggest(project.path)["images"]] == ["b", "a"]  # a is nothing new any more
    (tmp_path / "b.png").unlink()
    assert [image["name"] for image in suggest(project.path, "--count", "1")["images"]] == ["a"]
