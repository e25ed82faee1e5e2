from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from segment_anything.modeling import Sam

from naslora_trainer.adapter import Adapter
from naslora_trainer.base import fingerprint
from naslora_trainer.errors import UserError
from naslora_trainer.merging import apply, merge


@pytest.fixture
def saved(random_adapter: Adapter, tmp_path: Path) -> Path:
    random_adapter.save(tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


def test_a_file_comes_back_as_it_was(saved: Path, random_adapter: Adapter, base_sam: Sam) -> None:
    loaded = Adapter.load(saved, fingerprint(base_sam))
    assert loaded.meta == random_adapter.meta and loaded.id == random_adapter.id
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in random_adapter.tensors.items())


def test_another_base_is_refused(saved: Path) -> None:
    with pytest.raises(UserError, match="a.safetensors was trained on another base model"):
        Adapter.load(saved, "0" * 64)


def test_values_that_are_not_finite_are_refused(random_adapter: Adapter, tmp_path: Path) -> None:
    name = "decoder.iou_token.weight"
    broken = dataclasses.replace(random_adapter, tensors={name: torch.full((1, 256), torch.nan)})
    with pytest.raises(UserError, match="not finite"):
        broken.save(tmp_path / "b.safetensors")
    assert not list(tmp_path.glob("b*"))
    metadata = {"naslora": random_adapter.meta.model_dump_json()}
    save_file(broken.tensors, tmp_path / "c.safetensors", metadata=metadata)
    with pytest.raises(UserError, match="c.safetensors holds values that are not finite"):
        Adapter.load(tmp_path / "c.safetensors")


def test_a_newer_file_is_refused(random_adapter: Adapter, tmp_path: Path) -> None:
    newer = random_adapter.meta.model_copy(update={"version": 99}).model_dump_json()
    save_file(random_adapter.tensors, tmp_path / "n.safetensors", metadata={"naslora": newer})
    with pytest.raises(UserError, match="newer naslora-napari.*Update"):
        Adapter.load(tmp_path / "n.safetensors")


@pytest.mark.parametrize("metadata", [None, {"naslora": "{"}, {"naslora": "[]"}, {"naslora": '{"version": 1}'}])
def test_foreign_safetensors_are_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"x": torch.zeros(2)}, tmp_path / "f.safetensors", metadata=metadata)
    with pytest.raises(UserError, match="f.safetensors is not a naslora-napari adapter"):
        Adapter.load(tmp_path / "f.safetensors")


def test_damaged_files_are_refused_or_read_whole(saved: Path) -> None:
    """Cut short, or with one byte of the header changed: a sentence, never a crash."""
    data = saved.read_bytes()
    rng = np.random.default_rng(0)
    path = saved.with_name("damaged.safetensors")
    for _ in range(60):
        mutated = bytearray(data)
        mutated[int(rng.integers(0, 2000))] ^= 1 << int(rng.integers(8))
        path.write_bytes(mutated[: int(rng.integers(0, len(data)))] if rng.random() < 0.5 else mutated)
        try:
            Adapter.load(path)
        except UserError as error:
            assert "damaged.safetensors" in str(error)


def test_an_adapter_that_does_not_fit_leaves_the_model(base_sam: Sam, random_adapter: Adapter) -> None:
    before = fingerprint(base_sam)
    for tensors in (
        {"decoder.no_such": torch.zeros(3)},
        {"decoder.iou_token.weight": torch.zeros(2, 256)},
        {"strange.thing": torch.zeros(1)},
        {"lora.layers.3.blocks.0.attn.qkv.down": torch.zeros(2, 320)},
    ):
        with pytest.raises(UserError):
            apply(base_sam, dataclasses.replace(random_adapter, tensors=tensors))
    assert fingerprint(base_sam) == before


def test_a_branch_cannot_become_a_stock_checkpoint(random_adapter: Adapter) -> None:
    tensors = {**random_adapter.tensors, "branch.x.kernel": torch.zeros(2, 2, 5, 5)}
    with pytest.raises(UserError, match="keeps a spatial branch"):
        merge(dataclasses.replace(random_adapter, tensors=tensors))
