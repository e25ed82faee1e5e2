"""Every operation against torch's own module, and the mixture against the sum of its parts."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from naslora_trainer.cell import Cell
from naslora_trainer.config import METHOD_OPERATIONS, OperationName
from naslora_trainer.operations import OPERATIONS

RANK = 4


def reference(name: str, taps: Tensor, z: Tensor) -> Tensor:
    """The operation as torch computes it."""
    if name == "none":
        return torch.zeros_like(z)
    if name == "identity":
        return z
    if name == "avg_pool3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=True)(z)
    if name == "max_pool3x3":
        return nn.MaxPool2d(3, stride=1, padding=1)(z)
    if name == "sep_conv3x3_act":
        depth, point = (
            nn.Conv2d(RANK, RANK, 3, padding=1, groups=RANK, bias=False),
            nn.Conv2d(RANK, RANK, 1, bias=False),
        )
        depth.weight.data, point.weight.data = taps[:, :9].view(RANK, 1, 3, 3), taps[:, 9:].reshape(RANK, RANK, 1, 1)
        return nn.Sequential(depth, nn.GELU(), point)(z)
    side, depthwise, dilation = taps.shape[-1], name.startswith(("dw", "dil")), 2 if name.startswith("dil") else 1
    groups = RANK if depthwise else 1
    conv = nn.Conv2d(RANK, RANK, side, padding=dilation * (side // 2), dilation=dilation, groups=groups, bias=False)
    conv.weight.data = taps[:, None] if depthwise else taps
    return conv(z)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_equals_torchs_own(name: str) -> None:
    cell = Cell(RANK, (name,))
    nn.init.normal_(cell.weights[0]) if cell.weights[0].numel() else None
    z = torch.randn(2, RANK, 9, 7)
    torch.testing.assert_close(cell(z), reference(name, cell.weights[0].detach(), z), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "name", [n for n in OPERATIONS if n not in ("none", "avg_pool3x3", "max_pool3x3", "sep_conv3x3_act")]
)
def test_operations_start_as_the_identity(name: str) -> None:
    z = torch.randn(1, RANK, 6, 6)
    torch.testing.assert_close(Cell(RANK, (name,))(z), z, atol=1e-6, rtol=0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(1, 9), st.integers(1, 9))
def test_a_mixture_is_one_convolution_borders_included(seed: int, height: int, width: int) -> None:
    torch.manual_seed(seed)
    names = METHOD_OPERATIONS["nas-lora"]
    cell = Cell(RANK, names)
    for taps in cell.weights:
        nn.init.normal_(taps) if taps.numel() else None
    nn.init.normal_(cell.alpha)
    z = torch.randn(2, RANK, height, width)
    parts = [p * reference(n, w.detach(), z) for p, n, w in zip(cell.probabilities(), names, cell.weights, strict=True)]
    torch.testing.assert_close(cell(z), torch.stack(parts).sum(0), atol=1e-5, rtol=1e-5)


def test_pruning_renormalises_and_keeps_the_best() -> None:
    cell = Cell(RANK, ("identity", "conv1x1", "dw_conv3x3"))
    cell.alpha.data = torch.tensor([3.0, 0.0, 2.5])
    cell.prune(0.1)
    p = cell.probabilities()
    assert p[1] == 0 and torch.isclose(p.sum(), torch.tensor(1.0))
    cell.prune(0.99)
    assert cell.summary() == {"identity": 1.0, "conv1x1": 0.0, "dw_conv3x3": 0.0}


def test_alpha_and_operation_weights_get_gradients() -> None:
    cell = Cell(RANK, METHOD_OPERATIONS["nas-lora"])
    cell(torch.randn(1, RANK, 5, 5)).square().sum().backward()
    assert cell.alpha.grad is not None and cell.alpha.grad.abs().sum() > 0
    assert all(taps.grad is not None and taps.grad.abs().sum() > 0 for taps in cell.weights if taps.numel())


@pytest.mark.parametrize("partial", [2, 4])
def test_partial_channels_bypass_the_operations_and_are_shuffled(partial: int) -> None:
    torch.manual_seed(0)
    cell = Cell(RANK, (*METHOD_OPERATIONS["nas-lora"], "max_pool3x3", "sep_conv3x3_act"), partial)
    for taps in cell.weights:
        nn.init.normal_(taps) if taps.numel() else None
    z = torch.randn(2, RANK, 8, 8)
    searched = RANK // partial
    inner = Cell(searched, cell.operations)
    inner.load_state_dict(cell.state_dict())
    both = torch.cat([inner(z[:, :searched]), z[:, searched:]], dim=1)
    shuffled = both.unflatten(1, (partial, searched)).transpose(1, 2).flatten(1, 2)
    torch.testing.assert_close(cell(z), shuffled, atol=1e-5, rtol=1e-5)


def test_a_mixture_with_operations_that_are_not_linear_is_the_sum_of_its_parts() -> None:
    names = ("identity", "dw_conv5x5", "max_pool3x3", "sep_conv3x3_act")
    cell, z = Cell(RANK, names), torch.randn(2, RANK, 7, 9)
    nn.init.normal_(cell.alpha)
    parts = [p * reference(n, w.detach(), z) for p, n, w in zip(cell.probabilities(), names, cell.weights, strict=True)]
    torch.testing.assert_close(cell(z), torch.stack(parts).sum(0), atol=1e-5, rtol=1e-5)
    assert not cell.linear
    cell.alpha.data = torch.tensor([9.0, 9.0, 0.0, 0.0])
    cell.prune(0.1)
    assert cell.linear


def test_a_low_temperature_decides() -> None:
    cell = Cell(RANK, ("identity", "conv1x1"))
    cell.alpha.data = torch.tensor([0.2, 0.0])
    warm = cell.summary()["identity"]
    cell.temperature.fill_(0.05)
    assert warm < 0.56 < 0.98 < cell.summary()["identity"]


def test_the_settings_know_every_operation_of_the_registry() -> None:
    assert set(get_args(OperationName)) == set(OPERATIONS)
