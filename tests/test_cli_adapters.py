"""The adapters of a project from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from segment_anything.modeling import Sam
from typer.testing import CliRunner

from naslora_napari.cli import app
from naslora_napari.cli_adapters import starting_point
from naslora_napari.store import Project
from naslora_resources.registry import DEFAULT_MODEL
from naslora_resources.samples import sample_folder
from naslora_trainer.adapter import Adapter, AdapterMeta
from naslora_trainer.base import fingerprint
from naslora_trainer.errors import UserError
from naslora_trainer.images import list_images


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return Project.create(tmp_path / "p", list_images(sample_folder("labelled") / "images")[:1]).path


def an_adapter(sam: Sam, value: float = 0.1, **values: Any) -> Adapter:
    meta = {"base": DEFAULT_MODEL, "fingerprint": fingerprint(sam), "method": "decoder-only", "rank": 1} | values
    return Adapter({"decoder.iou_token.weight": torch.full((1, 256), value)}, AdapterMeta(**meta))


def adapters(project: Path, *arguments: object) -> list[dict[str, Any]]:
    """Run the command and return what it lists."""
    done = CliRunner().invoke(app, ["adapters", str(project), "--json", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_an_adapter_comes_is_named_used_and_goes(project: Path, base_sam: Sam, tmp_path: Path) -> None:
    assert adapters(project) == []
    given = tmp_path / "from Ada.safetensors"
    an_adapter(base_sam).save(given)
    (entry,) = adapters(project, "--import", given)
    assert (entry["key"], entry["state"], entry["validation"]) == ("from Ada", "imported", {})
    key = entry["key"]
    (entry,) = adapters(project, "--rename", key, "leaves", "--note", entry["id"], "plate 3", "--use", key)
    assert (entry["name"], entry["note"], entry["in_use"]) == ("leaves", "plate 3", True)
    assert Project.open(project).library.in_use == Path(entry["file"])
    adapters(project, "--export", "leaves", tmp_path / "out")
    assert (tmp_path / "out.safetensors").read_bytes() == given.read_bytes()
    assert adapters(project, "--use", "base", "--delete", "leaves") == []
    assert (project / "adapters" / "deleted" / "from Ada.safetensors").is_file()
    an_adapter(base_sam, fingerprint="0" * 64).save(given)
    with pytest.raises(UserError, match="another base model"):
        adapters(project, "--import", given)
    assert adapters(project) == []


def test_what_a_fine_tune_starts_from_and_has_to_beat(project: Path, base_sam: Sam, tmp_path: Path) -> None:
    library = Project.open(project).library
    assert starting_point(library, "", DEFAULT_MODEL) == {"start": "", "compare_with": ""}
    with pytest.raises(UserError, match="No adapter of"):
        starting_point(library, "current", DEFAULT_MODEL)
    paths = {}
    for key, value in (("a", 0.1), ("b", 0.2)):
        an_adapter(base_sam, value).save(tmp_path / f"{key}.safetensors")
        paths[key] = str(library.import_from(tmp_path / f"{key}.safetensors", fingerprint(base_sam)).path)
    assert starting_point(library, "b", DEFAULT_MODEL) == {"start": paths["b"], "compare_with": paths["b"]}
    library.use("a")
    assert starting_point(library, "", DEFAULT_MODEL) == {"start": "", "compare_with": paths["a"]}
    assert starting_point(library, "current", DEFAULT_MODEL) == {"start": paths["a"], "compare_with": paths["a"]}
    assert starting_point(library, "b", DEFAULT_MODEL) == {"start": paths["b"], "compare_with": paths["a"]}
    outside = str(tmp_path / "a.safetensors")
    assert starting_point(library, outside, DEFAULT_MODEL)["start"] == outside
    assert starting_point(library, "", "sam_vit_b") == {"start": "", "compare_with": ""}
    with pytest.raises(UserError, match="no adapter 'c'"):
        starting_point(library, "c", DEFAULT_MODEL)
