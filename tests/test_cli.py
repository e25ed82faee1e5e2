"""The command line as a program: exit codes, what goes to which stream, and the loop without a window."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest

from naslora_resources.samples import sample_folder
from naslora_trainer.images import list_images, read_image, read_labels


def naslora(*arguments: object, expect: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "naslora_napari", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=280, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == expect, done.stderr
    return done


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two quarter tiles with three nuclei each."""
    base = tmp_path_factory.mktemp("with space")
    source = sample_folder("labelled")
    for path in list_images(source / "images")[:2]:
        labels = read_labels(source / "masks" / path.name)[:64, :64]
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        kept = np.where(np.isin(labels, np.argsort(-sizes)[:3]), labels, 0)
        for name, plane in (("images", read_image(path)[:64, :64]), ("masks", kept.astype(np.uint16))):
            (base / name).mkdir(exist_ok=True)
            iio.imwrite(base / name / path.name, plane)
    return base / "images", base / "masks"


def test_models_and_doctor_speak_json() -> None:
    found = json.loads(naslora("models", "--json").stdout)
    assert [entry["id"] for entry in found][:3] == ["litemedsam-click", "litemedsam", "sam_vit_b"]
    checks = json.loads(naslora("doctor", "--json").stdout)
    assert {check["name"]: check["state"] for check in checks}["weights"] == "ok"


def test_wrong_use_is_2_and_failure_is_1(tmp_path: Path) -> None:
    naslora("segment", expect=2)
    naslora("nonsense", expect=2)
    failed = naslora("new", tmp_path / "p", "--images", tmp_path / "missing", expect=1)
    assert "missing does not exist" in failed.stderr and not failed.stdout and "Traceback" not in failed.stderr
    bad = naslora("finetune", tmp_path / "nothing.naslora", expect=1)
    assert "nothing.naslora" in bad.stderr


def test_the_architecture_of_an_adapter(tmp_path: Path) -> None:
    path, records = tmp_path / "mine.safetensors", []
    for step, p in ((0, 0.5), (10, 0.75)):
        records.append({"step": step, "architecture": {"blocks.11.attn.qkv": {"identity": 1 - p, "conv1x1": p}}})
    write_adapter(path, records)
    assert "block 11 qkv      0.25      0.75*" in naslora("architecture", path).stdout
    picture = tmp_path / "search.png"
    found = json.loads(naslora("architecture", path, "--picture", picture, "--json").stdout)
    assert found["history"] == records and found["architecture"] == records[-1]["architecture"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    write_adapter(path, [])
    failed = naslora("architecture", path, "--picture", tmp_path / "none.png", expect=1)
    assert "does not hold the course of a search" in failed.stderr and not failed.stdout
    assert not (tmp_path / "none.png").exists()


def write_adapter(path: Path, records: list[dict[str, Any]]) -> None:
    """Write a small adapter with the history of a search."""
    import torch

    from naslora_trainer.adapter import Adapter, AdapterMeta

    meta = AdapterMeta(
        base="litemedsam", fingerprint="0" * 64, method="nas-lora", rank=2,
        architecture=records[-1]["architecture"] if records else {}, report={"architecture_history": records},
    )  # fmt: skip
    Adapter({"lora.l.down": torch.zeros(2, 3), "lora.l.up": torch.zeros(4, 2)}, meta).save(path)


def test_the_loop_without_a_window(folders: tuple[Path, Path], tmp_path: Path) -> None:
    images, masks = folders
    project = tmp_path / "p.naslora"
    made = json.loads(naslora("new", project, "--images", images, "--masks", masks, "--complete", "--json").stdout)
    assert (made["images"], made["objects"]) == (2, 6)
    out = tmp_path / "mine.safetensors"
    trained = naslora("finetune", project, "--steps", 5, "--rank", 2, "--blocks", 1, "--out", out, "--json")
    events = [json.loads(line) for line in trained.stdout.splitlines()]
    told = [event for event in events if event["event"] != "heartbeat"]  # one may come while torch is being loaded
    assert told[0]["event"] == "started" and told[-1]["status"] == "done" and out.is_file()
    listed = json.loads(naslora("adapters", project, "--json").stdout)
    assert len(listed) == 1 and set(listed[0]["validation"]) == {"click", "box"}
    (run,) = (project / "runs").iterdir()
    assert "block 3.1 qkv" in (run / "architecture.txt").read_text(encoding="utf-8")
    assert (run / "architecture.png").stat().st_size > 10_000
    merged = tmp_path / "merged.safetensors"
    naslora("merge", out, "--out", merged)
    assert merged.stat().st_size > 30e6
    naslora("merge", out, "--out", tmp_path / "peft", "--format", "peft")
    config = json.loads((tmp_path / "peft" / "adapter_config.json").read_text())
    layers = {name.rpartition(".")[2] for name in config["target_modules"]}
    assert config["r"] == 2 and {"qkv", "proj"} <= layers
    naslora("merge", out, "--out", tmp_path / "other", "--format", "onnx", expect=2)
    scores = json.loads(naslora("evaluate", "--images", images, "--masks", masks, "--adapter", out, "--json").stdout)
    assert scores["objects"] == 6 and 0 <= scores["point"]["dice"][0] <= 1 and scores["box"]["dice"] > 0.5
    naslora("export", project, "--out", tmp_path / "labels")
    exported = list_images(tmp_path / "labels")
    assert len(exported) == 2 and np.array_equal(read_labels(exported[0]), read_labels(list_images(masks)[0]))
    other = naslora("segment", images, "--out", tmp_path / "o", "--adapter", merged, expect=1)
    assert "merged.safetensors is not a naslora-napari adapter" in other.stderr


def test_images_that_were_moved_are_found_again(folders: tuple[Path, Path], tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new" / "place"
    shutil.copytree(folders[0], old)
    naslora("new", tmp_path / "p.naslora", "--images", old)
    new.parent.mkdir()
    old.rename(new)
    gone = next(new.iterdir())
    gone.rename(tmp_path / gone.name)
    found = json.loads(naslora("relink", tmp_path / "p.naslora", tmp_path / "new", "--json", expect=1).stdout)
    assert len(found["found"]) == 1 and found["missing"] == [gone.stem] and not found["cut_short"]
    assert "1 of 1" in naslora("relink", tmp_path / "p.naslora", tmp_path).stdout
    assert "No image is missing" in naslora("relink", tmp_path / "p.naslora", tmp_path).stdout
