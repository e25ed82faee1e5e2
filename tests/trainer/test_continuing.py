"""A fine-tune that goes on from an adapter: one file of the old base holds what both do."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import pytest
import torch
from segment_anything.modeling import Sam
from torch import Tensor

from naslora_trainer.adapter import Adapter, AdapterMeta
from naslora_trainer.base import fingerprint
from naslora_trainer.checkpoint import job_digest
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.continuing import compose, starting_adapter
from naslora_trainer.data import TrainingImage
from naslora_trainer.errors import UserError
from naslora_trainer.merging import apply, merge
from naslora_trainer.train import finetune

LAYER = "blocks.2.attn.qkv"


def an_adapter(sam: Sam, seed: int, rank: int = 2, branch: bool = False) -> Adapter:
    """An adapter of a layer of the encoder and one of the decoder, and of a token."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator) * 0.1

    tensors = {
        f"lora.{LAYER}.down": random(rank, 32),
        f"lora.{LAYER}.up": random(96, rank),
        "decoder_lora.transformer.layers.0.mlp.lin1.down": random(rank, 16),
        "decoder_lora.transformer.layers.0.mlp.lin1.up": random(40, rank),
        "decoder.iou_token.weight": random(1, 16),
    }
    if branch:
        tensors |= {f"branch.{LAYER}.down": random(rank, 32), f"branch.{LAYER}.kernel": random(rank, rank, 3, 3)}
    return Adapter(tensors, AdapterMeta(base="small", fingerprint=fingerprint(sam), method="nas-lora", rank=rank))


@torch.no_grad()
@pytest.mark.parametrize("branch", [False, True])
def test_one_file_does_what_both_do(branch: bool, small_sam: Sam) -> None:
    first = an_adapter(small_sam, 1)
    both = apply(copy.deepcopy(small_sam), first)
    second = an_adapter(both, 2, rank=3, branch=branch)
    second.tensors["lora.blocks.3.attn.proj.down"] = torch.ones(3, 32)  # a layer of the second alone
    second.tensors["lora.blocks.3.attn.proj.up"] = torch.full((32, 3), 0.01)
    apply(both, second)
    found = compose(first, second)
    assert found.meta.rank == 5 and found.meta.report["start"] == first.id
    one = apply(copy.deepcopy(small_sam), found)
    x = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    wanted = both.image_encoder(x)
    assert (wanted - small_sam.image_encoder(x)).abs().max() > 1e-2
    torch.testing.assert_close(one.image_encoder(x), wanted, atol=1e-5, rtol=1e-4)
    for name, tensor in both.mask_decoder.state_dict().items():
        torch.testing.assert_close(one.mask_decoder.state_dict()[name], tensor, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_half_precision_is_summed_up_in_full(small_sam: Sam) -> None:
    full = an_adapter(small_sam, 1)
    half = dataclasses.replace(full, tensors={name: tensor.half() for name, tensor in full.tensors.items()})
    exact = dataclasses.replace(full, tensors={name: tensor.float() for name, tensor in half.tensors.items()})
    base = small_sam.state_dict()
    for name, tensor in merge(exact, base).items():
        assert torch.equal(merge(half, base)[name], tensor)


def config(**values: object) -> FineTuneConfig:
    settings = {
        "seed_head": False,
        "shown_images": 0,
        "steps": 5,
        "prompts_per_step": 2,
        "blocks": 1,
        "rank": 2,
        "cache_mb": 0,
        "precision": "float32",
    }
    return FineTuneConfig.checked(**settings | values)


def test_training_goes_on_from_an_adapter(
    base_sam: Sam, random_adapter: Adapter, nuclei: list[TrainingImage], tmp_path: Path
) -> None:
    random_adapter.save(tmp_path / "start.safetensors")
    going_on = config(method="lora", start=str(tmp_path / "start.safetensors"))
    adapter = finetune(going_on, nuclei[:2])
    assert adapter is not None and adapter.meta.fingerprint == fingerprint(base_sam)
    assert adapter.meta.report["start"] == random_adapter.id
    down = next(name for name in random_adapter.tensors if name.endswith(".down"))
    assert torch.equal(adapter.tensors[down][:2], random_adapter.tensors[down]) and len(adapter.tensors[down]) == 4
    apply(copy.deepcopy(base_sam), adapter)
    other = dataclasses.replace(random_adapter, tensors={n: t * 2 for n, t in random_adapter.tensors.items()})
    one = job_digest(going_on, nuclei, starting_adapter(going_on))
    other.save(tmp_path / "start.safetensors")
    assert job_digest(going_on, nuclei, starting_adapter(going_on)) != one  # the file counts, not its name


def test_what_cannot_be_gone_on_from_is_said_before_training(random_adapter: Adapter, tmp_path: Path) -> None:
    assert starting_adapter(config()) is None
    path = tmp_path / "start.safetensors"
    with pytest.raises(UserError, match="does not exist"):
        starting_adapter(config(start=str(path)))
    random_adapter.save(path)
    for settings in ({"method": "conv-lora-experts"}, {"candidates": ("identity", "max_pool3x3")}):
        with pytest.raises(UserError, match="not linear"):
            starting_adapter(config(start=str(path), **settings))
    layer = next(n for n in random_adapter.tensors if n.startswith("lora.") and n.endswith(".down"))
    layer = layer.removeprefix("lora.").removesuffix(".down")
    kernel = {f"branch.{layer}.kernel": torch.zeros(2, 2, 3, 3), f"branch.{layer}.down": torch.zeros(2, 4)}
    dataclasses.replace(random_adapter, tensors=random_adapter.tensors | kernel).save(path)
    with pytest.raises(UserError, match="spatial branch"):
        starting_adapter(config(start=str(path)))
