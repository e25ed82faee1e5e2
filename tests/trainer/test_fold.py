from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from segment_anything.modeling import Sam
from torch import nn
from torch.nn import functional

from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.adapter import Adapter
from naslora_trainer.base import fingerprint
from naslora_trainer.cell import Cell
from naslora_trainer.config import METHOD_OPERATIONS, FineTuneConfig
from naslora_trainer.errors import UserError
from naslora_trainer.fold import consolidate, pointwise_part, spatial_part
from naslora_trainer.layers import AdaptedLinear, FixedKernel, spatial
from naslora_trainer.merging import apply, merge
from naslora_trainer.network import TrainableSam


def convolve(z: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    return spatial(z, FixedKernel(kernel))


def trained_layer(seed: int, operations: tuple[str, ...] = METHOD_OPERATIONS["nas-lora"]) -> AdaptedLinear:
    torch.manual_seed(seed)
    layer = AdaptedLinear(nn.Linear(10, 14), Cell(3, operations), 0.7)
    for parameter in (layer.up, layer.cell.alpha, *(w for w in layer.cell.weights if w.numel())):
        nn.init.normal_(parameter)
    return layer


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_pointwise_and_spatial_part_are_the_whole(seed: int) -> None:
    layer = trained_layer(seed)
    kernel = layer.cell.kernel()
    z = torch.randn(2, 25, 3)
    both = functional.linear(z, pointwise_part(kernel)) + convolve(z, spatial_part(kernel))
    torch.testing.assert_close(both, convolve(z, kernel), atol=1e-5, rtol=0)


def test_a_pointwise_cell_folds_exactly() -> None:
    layer = trained_layer(1, ("none", "identity", "conv1x1"))
    x = torch.randn(4, 49, 10)
    fold = consolidate({"l": layer}, lambda: layer(x))["l"]
    merged = layer.base.weight + layer.scale * layer.up @ fold.down
    torch.testing.assert_close(functional.linear(x, merged, layer.base.bias), layer(x), atol=1e-5, rtol=0)
    assert fold.residual < 1e-6 and fold.spatial_energy < 1e-12


def test_consolidation_is_the_least_squares_map() -> None:
    """No other linear map of the tokens comes nearer to the spatial part; torch.linalg.lstsq agrees."""
    layer = trained_layer(2)
    x = torch.randn(8, 196, 10).cumsum(1) * 0.1  # neighbouring tokens are alike, as in an image
    fold = consolidate({"l": layer}, lambda: layer(x))["l"]
    z = functional.linear(x, layer.down)
    wanted = layer.cell.kernel()
    u = convolve(z, spatial_part(wanted)).flatten(0, 1)
    best = torch.linalg.lstsq(x.flatten(0, 1).double(), u.double()).solution.T.float()
    own = fold.down - pointwise_part(wanted) @ layer.down

    def lost(down: torch.Tensor) -> float:
        return float((functional.linear(x.flatten(0, 1), down) - u).square().sum())

    assert lost(own) <= lost(best) * 1.01
    whole = convolve(z, wanted).square().sum()
    assert fold.residual == pytest.approx((lost(own) / float(whole)) ** 0.5, rel=0.02)


def test_calibration_that_reaches_no_layer_is_an_error() -> None:
    with pytest.raises(ValueError, match="did not reach"):
        consolidate({"l": trained_layer(0)}, lambda: None)


def test_merging_loads_strictly_and_answers_the_same(base_sam: Sam, random_adapter: Adapter) -> None:
    stock = copy.deepcopy(base_sam)
    before = fingerprint(base_sam)
    stock.load_state_dict(merge(random_adapter, base_sam.state_dict()), strict=True)
    assert fingerprint(base_sam) == before and fingerprint(stock) != before
    applied = apply(copy.deepcopy(base_sam), random_adapter)
    assert fingerprint(applied) == fingerprint(stock)


@torch.no_grad()
def test_a_branch_answers_as_the_unfolded_network(base_sam: Sam) -> None:
    """What is kept as a branch in the file gives the output of the network in training."""
    network = TrainableSam(FineTuneConfig(blocks=2, steps=5), "cpu")
    generator = torch.Generator().manual_seed(0)
    for layer in network.layers.values():
        layer.up.copy_(torch.randn(layer.up.shape, generator=generator) * 0.05)
        layer.cell.alpha.copy_(torch.randn(layer.cell.alpha.shape, generator=generator))
    from naslora_trainer.adapter import AdapterMeta

    meta = AdapterMeta(base=DEFAULT_MODEL, fingerprint=network.fingerprint, method="nas-lora", rank=4)
    adapter = Adapter(network.tensors(), meta)
    assert adapter.has_branch
    x = torch.rand(1, 3, 256, 256)
    answers = apply(copy.deepcopy(base_sam), adapter).image_encoder(x)
    torch.testing.assert_close(answers, network.sam.image_encoder(x), atol=1e-4, rtol=1e-4)
    assert not torch.equal(answers, base_sam.image_encoder(x))


def test_a_branch_without_its_projection_is_refused(base_sam: Sam, random_adapter: Adapter) -> None:
    """Not left out in silence; the model stays as it was."""
    layer = next(name for name in random_adapter.tensors if name.endswith("qkv.down")).split(".", 1)[1]
    name = f"branch.{layer.removesuffix('.down')}.kernel"
    broken = Adapter({**random_adapter.tensors, name: torch.zeros(2, 2, 5, 5)}, random_adapter.meta)
    sam = copy.deepcopy(base_sam)
    with pytest.raises(UserError, match="its branch at"):
        apply(sam, broken)
    assert fingerprint(sam) == fingerprint(base_sam)
