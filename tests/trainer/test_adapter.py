from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from segment_anything.modeling import Sam

from naslora_trainer.adapter import Adapter, AdapterMeta
from naslora_trainer.adapter_meta import MAX_BYTES
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


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A file of a few hundred bytes."""
    tensors = {"lora.x.up": torch.ones(3, 1), "lora.x.down": torch.ones(1, 2), "decoder.y": torch.arange(3.0)}
    meta = AdapterMeta(base="litemedsam", fingerprint="0" * 64, method="lora", rank=1)
    Adapter(tensors, meta).save(tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


def test_a_flipped_bit_is_found(small: Path) -> None:
    """In every byte of the file: refused with a sentence, or it changed nothing that counts."""
    data, good = small.read_bytes(), Adapter.load(small)
    rng = np.random.default_rng(0)
    refused = 0
    for position in range(len(data)):
        mutated = bytearray(data)
        mutated[position] ^= 1 << int(rng.integers(8))
        small.write_bytes(mutated)
        try:
            loaded = Adapter.load(small)
        except UserError as error:
            assert "small.safetensors" in str(error)
            refused += 1
        else:
            assert loaded.id == good.id and loaded.meta == good.meta
    assert refused > 0.9 * len(data)


def test_a_file_cut_short_or_with_more_behind_it_is_refused(small: Path) -> None:
    data = small.read_bytes()
    for changed in [*(data[:length] for length in range(len(data))), data + b"x", b"\xff" * 8 + data]:
        small.write_bytes(changed)
        with pytest.raises(UserError, match=r"small.safetensors is damaged"):
            Adapter.load(small)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    with open(tmp_path / "huge.safetensors", "wb") as file:
        file.truncate(MAX_BYTES + 1)  # takes no room on the disk
    with pytest.raises(UserError, match=r"huge.safetensors is larger than an adapter can be \(2 GiB\)"):
        Adapter.load(tmp_path / "huge.safetensors")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "no.safetensors", tmp_path):
        with pytest.raises(UserError, match=f"{path.name} does not exist"):
            Adapter.load(path)


@pytest.mark.parametrize("metadata", ["[" * 100_000, '{"rank": ' + "9" * 5000 + "}"], ids=["nested", "long number"])
def test_metadata_that_python_cannot_read_is_refused(tmp_path: Path, metadata: str) -> None:
    save_file({"x": torch.zeros(2)}, tmp_path / "m.safetensors", metadata={"naslora": metadata})
    with pytest.raises(UserError, match="m.safetensors is not a naslora-napari adapter"):
        Adapter.load(tmp_path / "m.safetensors")


def test_a_rank_that_would_fill_the_memory_is_refused(random_adapter: Adapter, tmp_path: Path) -> None:
    metadata = random_adapter.meta.model_dump_json().replace('"rank":2', '"rank":2000000000')
    save_file(random_adapter.tensors, tmp_path / "r.safetensors", metadata={"naslora": metadata})
    with pytest.raises(UserError, match="r.safetensors is not a naslora-napari adapter"):
        Adapter.load(tmp_path / "r.safetensors")


UP, DOWN = torch.ones(3, 2), torch.ones(2, 4)
#: Tensors that no adapter has, and what is said of them.
MALFORMED = {
    "up alone": ({"lora.a.up": UP}, r"incomplete: lora\.a\.down is missing"),
    "down alone": ({"lora.a.down": DOWN}, r"incomplete: lora\.a\.up is missing"),
    "up alone in the decoder": ({"decoder_lora.a.up": UP}, r"incomplete: decoder_lora\.a\.down is missing"),
    "halves of two layers": ({"lora.a.up": UP, "lora.b.down": DOWN}, r"incomplete: lora\.a\.down is missing"),
    "two ranks": ({"lora.a.up": UP, "lora.a.down": torch.ones(3, 4)}, r"lora\.a\.\w+ and .* do not fit"),
    "rank 0": ({"lora.a.up": torch.ones(3, 0), "lora.a.down": torch.ones(0, 4)}, "do not fit"),
    "no matrix": ({"lora.a.up": torch.ones(2), "lora.a.down": torch.ones(())}, "do not fit"),
    "two types": ({"lora.a.up": UP.half(), "lora.a.down": DOWN}, "do not fit"),
    "whole numbers": ({"decoder.a": torch.ones(3, dtype=torch.int64)}, r"type that no adapter has \(decoder\.a"),
    "complex numbers": ({"decoder.a": torch.ones(3, dtype=torch.complex64)}, "type that no adapter has"),
    "infinity": ({"lora.a.up": UP * torch.inf, "lora.a.down": DOWN}, r"not finite \(lora\.a\.up"),
    "unknown kind": ({"strange.thing": UP}, r"unknown kind \(strange\.thing\)"),
    "unknown half": ({"lora.a.middle": UP}, r"unknown kind \(lora\.a\.middle\)"),
    "kind alone": ({"decoder": UP}, r"unknown kind \(decoder\)"),
    "no name": ({"": UP}, r"unknown kind \(\)"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_tensors_are_refused_by_name(
    case: str, random_adapter: Adapter, base_sam: Sam, tmp_path: Path
) -> None:
    """When a file is read, when one is written, and when they are merged."""
    tensors, message = MALFORMED[case]
    adapter = dataclasses.replace(random_adapter, tensors=tensors)
    save_file(tensors, tmp_path / "m.safetensors", metadata={"naslora": adapter.meta.model_dump_json()})
    with pytest.raises(UserError, match=rf"^m\.safetensors.*{message}"):
        Adapter.load(tmp_path / "m.safetensors")
    with pytest.raises(UserError, match=message):
        adapter.save(tmp_path / "new.safetensors")
    assert not (tmp_path / "new.safetensors").exists()
    with pytest.raises(UserError, match=message):
        merge(adapter, base_sam.state_dict())


def test_an_adapter_without_checksum_is_still_read(random_adapter: Adapter, tmp_path: Path) -> None:
    metadata = {"naslora": random_adapter.meta.model_dump_json()}
    save_file(random_adapter.tensors, tmp_path / "old.safetensors", metadata=metadata)
    assert Adapter.load(tmp_path / "old.safetensors").id == random_adapter.id


def test_an_update_that_runs_over_is_refused(random_adapter: Adapter, base_sam: Sam) -> None:
    tensors = {name: torch.full_like(tensor, 1e30) for name, tensor in random_adapter.tensors.items()}
    with pytest.raises(UserError, match=r"not finite in image_encoder\..*weight"):
        merge(dataclasses.replace(random_adapter, tensors=tensors), base_sam.state_dict())


def test_an_adapter_that_does_not_fit_leaves_the_model(base_sam: Sam, random_adapter: Adapter) -> None:
    before = fingerprint(base_sam)
    for tensors in (
        {"decoder.no_such": torch.zeros(3)},
        {"decoder.iou_token.weight": torch.zeros(2, 256)},
        {"strange.thing": torch.zeros(1)},
        {"lora.layers.3.blocks.0.attn.qkv.down": torch.zeros(2, 320)},
        {"lora.layers.3.blocks.0.attn.qkv.up": torch.zeros(960, 2)},
        {"lora.layers.3.blocks.0.attn.qkv.down": torch.zeros(2, 321), "lora.layers.3.blocks.0.attn.qkv.up": UP},
    ):
        with pytest.raises(UserError):
            apply(base_sam, dataclasses.replace(random_adapter, tensors=tensors))
    assert fingerprint(base_sam) == before


def test_a_branch_cannot_become_a_stock_checkpoint(random_adapter: Adapter) -> None:
    tensors = {**random_adapter.tensors, "branch.x.kernel": torch.zeros(2, 2, 5, 5)}
    with pytest.raises(UserError, match="keeps a spatial branch"):
        merge(dataclasses.replace(random_adapter, tensors=tensors))
