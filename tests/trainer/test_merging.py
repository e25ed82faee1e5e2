"""From base to merged model and back; what does not fit leaves the model alone."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from segment_anything.modeling import Sam
from torch import Tensor

from naslora_trainer.adapter import Adapter, AdapterMeta
from naslora_trainer.base import fingerprint
from naslora_trainer.errors import UserError
from naslora_trainer.experts import ExpertsCell
from naslora_trainer.layers import BranchLinear
from naslora_trainer.merging import apply, unmerge

LAYER = "blocks.2.attn.qkv"
RANK = 3


def an_adapter(sam: Sam, branch: str = "", dtype: torch.dtype = torch.float32) -> Adapter:
    """An adapter of two layers and a decoder tensor, with a branch at the first layer if one is asked for."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return (torch.randn(shape, generator=generator) * 0.1).to(dtype)

    tensors = {"decoder.iou_token.weight": random(1, 16)}
    for layer, out in ((LAYER, 96), ("blocks.3.mlp.lin2", 32)):
        inputs = sam.image_encoder.get_submodule(layer).in_features
        tensors |= {f"lora.{layer}.down": random(RANK, inputs), f"lora.{layer}.up": random(out, RANK)}
    if branch:
        tensors[f"branch.{LAYER}.down"] = random(RANK, 32)
    if branch == "kernel":
        tensors[f"branch.{LAYER}.kernel"] = random(RANK, RANK, 5, 5)
    if branch == "cell":
        cell = ExpertsCell(RANK).state_dict()
        tensors |= {f"branch.{LAYER}.cell.{name}": value.to(dtype) for name, value in cell.items()}
    method = "conv-lora-experts" if branch == "cell" else "nas-lora"
    return Adapter(tensors, AdapterMeta(base="small", fingerprint=fingerprint(sam), method=method, rank=RANK))


@torch.no_grad()
def embedding(sam: Sam) -> Tensor:
    return sam.image_encoder(torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("branch", ["", "kernel", "cell"])
def test_the_way_back_is_bit_identical(branch: str, small_sam: Sam) -> None:
    """There, back and there again, twice: the base and the merged model are each time the same to the last bit."""
    base, adapter = copy.deepcopy(small_sam.state_dict()), an_adapter(small_sam, branch)
    modules, before = dict(small_sam.named_modules()).keys(), embedding(small_sam)
    merged = embedding(apply(copy.deepcopy(small_sam), adapter))
    assert (merged - before).abs().max() > 1e-2
    for _ in range(2):
        assert torch.equal(embedding(apply(small_sam, adapter)), merged)
        assert any(isinstance(module, BranchLinear) for module in small_sam.modules()) == bool(branch)
        assert unmerge(small_sam, adapter, base) is small_sam
        assert fingerprint(small_sam) == adapter.meta.fingerprint
        assert dict(small_sam.named_modules()).keys() == modules and torch.equal(embedding(small_sam), before)


def test_the_base_is_loaded_again_where_none_was_kept(base_sam: Sam, random_adapter: Adapter) -> None:
    sam = apply(copy.deepcopy(base_sam), random_adapter)
    assert fingerprint(unmerge(sam, random_adapter)) == fingerprint(base_sam)


def test_a_base_that_is_not_the_adapters_is_refused(small_sam: Sam) -> None:
    """The state dict of the merged model itself too, which is no copy of the base but the merged weights."""
    held, adapter = small_sam.state_dict(), an_adapter(small_sam, "kernel")
    apply(small_sam, adapter)
    with pytest.raises(UserError, match="another base model"):
        unmerge(small_sam, adapter, held)
    assert isinstance(small_sam.image_encoder.get_submodule(LAYER), BranchLinear)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("branch", ["", "kernel", "cell"])
def test_an_adapter_of_another_precision_is_merged_into_the_bases(
    branch: str, dtype: torch.dtype, small_sam: Sam
) -> None:
    adapter = an_adapter(small_sam, branch, dtype)
    wanted = dataclasses.replace(adapter, tensors={name: t.float() for name, t in adapter.tensors.items()})
    got = apply(copy.deepcopy(small_sam), adapter)
    assert {tensor.dtype for tensor in got.parameters()} == {torch.float32}
    torch.testing.assert_close(embedding(got), embedding(apply(small_sam, wanted)), atol=0.05, rtol=0.05)


BRANCH = f"branch.{LAYER}"
#: Parts of a branch that do not fit, or a layer that cannot have one.
MISFITS: dict[str, dict[str, Tensor]] = {
    "narrow": {f"{BRANCH}.down": torch.zeros(RANK, 31)},
    "another rank": {f"{BRANCH}.down": torch.zeros(RANK + 1, 32)},
    "no matrix": {f"{BRANCH}.down": torch.zeros(RANK)},
    "kernel of another rank": {f"{BRANCH}.kernel": torch.zeros(RANK, RANK + 1, 5, 5)},
    "even kernel": {f"{BRANCH}.kernel": torch.zeros(RANK, RANK, 4, 4)},
    "oblong kernel": {f"{BRANCH}.kernel": torch.zeros(RANK, RANK, 3, 5)},
    "flat kernel": {f"{BRANCH}.kernel": torch.zeros(RANK, RANK)},
    "no projection": {"branch.blocks.3.mlp.lin2.kernel": torch.zeros(RANK, RANK, 5, 5)},
    "no update": {"branch.blocks.0.attn.qkv.down": torch.zeros(RANK, 32)},
    "no such layer": {"branch.blocks.9.attn.qkv.down": torch.zeros(RANK, 32)},
    "unknown part": {f"{BRANCH}.middle": torch.zeros(1)},
    "kernel and cell": {f"{BRANCH}.cell.gate": torch.zeros(1)},
    "not a linear layer": {
        "branch.neck.2.down": torch.zeros(RANK, 16), "branch.neck.2.kernel": torch.zeros(RANK, RANK, 3, 3),
        "lora.neck.2.up": torch.zeros(16, RANK), "lora.neck.2.down": torch.zeros(RANK, 16, 3, 3),
    },
}  # fmt: skip


@pytest.mark.parametrize("case", MISFITS)
def test_a_branch_that_does_not_fit_is_named_and_leaves_the_model(case: str, small_sam: Sam) -> None:
    adapter = an_adapter(small_sam, "kernel")
    broken = dataclasses.replace(adapter, tensors=adapter.tensors | MISFITS[case])
    layer = next(iter(MISFITS[case])).removeprefix("branch.").partition(".cell.")[0].rpartition(".")[0]
    with pytest.raises(UserError, match=f"its branch at {layer}"):
        apply(small_sam, broken)
    assert fingerprint(small_sam) == adapter.meta.fingerprint


def test_a_cell_that_does_not_fit_is_named(small_sam: Sam) -> None:
    """Of another rank than the file says, with a part missing, or of an operation that there is not."""
    adapter = an_adapter(small_sam, "cell")
    without = {name: tensor for name, tensor in adapter.tensors.items() if not name.endswith("cell.gate")}
    for broken in (
        dataclasses.replace(adapter, tensors=without),
        dataclasses.replace(adapter, meta=adapter.meta.model_copy(update={"rank": RANK + 1})),
        dataclasses.replace(
            adapter, meta=adapter.meta.model_copy(update={"method": "nas-lora", "operations": ("conv9x9",)})
        ),
    ):
        with pytest.raises(UserError, match=f"its branch at {LAYER}"):
            apply(small_sam, broken)
    assert fingerprint(small_sam) == adapter.meta.fingerprint
