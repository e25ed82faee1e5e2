"""What METHOD calls exact, against sums of torch's own operations: 1e-5 at most, borders included."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from naslora_trainer.cell import Cell
from naslora_trainer.fold import pointwise_part, spatial_part
from naslora_trainer.layers import AdaptedConv2d, AdaptedLinear, BranchLinear, FixedKernel
from naslora_trainer.operations import OPERATIONS

LINEAR = [name for name, operation in OPERATIONS.items() if operation.linear]
GRIDS = [(1, 1), (1, 7), (7, 1), (2, 3), (7, 7), (14, 14)]
seeds = st.integers(0, 2**31 - 1)
grids = st.sampled_from(GRIDS)
#: Rank, and one channel in so many searched.
channels = st.sampled_from([(4, 1), (4, 2), (4, 4), (8, 2), (5, 2), (3, 64)])
operations = st.lists(st.sampled_from(LINEAR), min_size=1, max_size=len(LINEAR), unique=True)


def reference(name: str, taps: Tensor, z: Tensor) -> Tensor:
    """A linear operation of the registry on ``z`` (B, r, H, W), as torch's functional form has it."""
    rank = z.shape[1]
    match name:
        case "none":
            return z * 0
        case "identity":
            return z
        case "conv1x1":
            return functional.conv2d(z, taps)
        case "conv3x3":
            return functional.conv2d(z, taps, padding=1)
        case "dw_conv3x3":
            return functional.conv2d(z, taps[:, None], padding=1, groups=rank)
        case "dw_conv5x5":
            return functional.conv2d(z, taps[:, None], padding=2, groups=rank)
        case "dil_conv3x3":
            return functional.conv2d(z, taps[:, None], padding=2, dilation=2, groups=rank)
        case "avg_pool3x3":
            return functional.avg_pool2d(functional.pad(z, (1, 1, 1, 1)), 3, stride=1)
    raise AssertionError(f"there is no independent form of {name}")


def mixture(cell: Cell, z: Tensor) -> Tensor:
    """The cell as METHOD writes it: the weighted sum of its operations, and the partial channels around it."""
    searched = z[:, : cell.searched]
    weights = torch.tensor([cell.summary()[name] for name in cell.operations])
    parts = zip(weights, cell.operations, cell.weights, strict=True)
    mixed = torch.stack([p * reference(name, taps.detach(), searched) for p, name, taps in parts]).sum(0)
    whole = torch.cat([mixed, z[:, cell.searched :]], dim=1)
    groups = cell.rank // cell.searched
    if groups * cell.searched != cell.rank:
        return whole
    return whole.unflatten(1, (groups, cell.searched)).transpose(1, 2).flatten(1, 2)


@torch.no_grad()
def random_cell(seed: int, names: Sequence[str], rank: int = 4, partial: int = 1, prune: float = 0.0) -> Cell:
    torch.manual_seed(seed)
    cell = Cell(rank, names, partial)
    nn.init.normal_(cell.alpha)
    for taps in cell.learned():
        nn.init.normal_(taps, std=0.4)  # the output stays about as large as the input, for which 1e-5 is meant
    cell.temperature.fill_(float(torch.empty(()).uniform_(0.05, 3)))
    cell.prune(prune)
    return cell


def near(mine: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", LINEAR)
@torch.no_grad()
def test_an_operation_is_torchs_own_on_every_grid(name: str, grid: tuple[int, int]) -> None:
    cell = random_cell(0, (name,))
    z = torch.randn(2, 4, *grid)
    near(cell(z), reference(name, cell.weights[0], z))
    near(functional.conv2d(z, cell.kernel(), padding=2), reference(name, cell.weights[0], z))


@settings(max_examples=60, deadline=None)
@given(seeds, operations, grids, channels, st.sampled_from([0, 0.08, 0.3, 1]))
@torch.no_grad()
def test_the_collapsed_kernel_is_the_sum_of_the_operations(
    seed: int, names: list[str], grid: tuple[int, int], sizes: tuple[int, int], prune: float
) -> None:
    """Any operations, weights, temperature, partial channels, and after pruning."""
    cell = random_cell(seed, names, *sizes, prune=prune)
    z = torch.randn(2, cell.rank, *grid)
    near(functional.conv2d(z, cell.kernel(), padding=2), mixture(cell, z))
    near(cell(z), mixture(cell, z))


def update(layer: AdaptedLinear, x: Tensor) -> Tensor:
    """``s * Wd C(We x)`` for tokens (B, H, W, a), the cell as METHOD writes it."""
    z = torch.einsum("ra,bhwa->brhw", layer.down, x)
    return torch.einsum("or,brhw->bhwo", layer.scale * layer.up, mixture(layer.cell, z))


def random_linear(cell: Cell, width: int = 12, out: int = 9) -> AdaptedLinear:
    layer = AdaptedLinear(nn.Linear(width, out), cell, 0.5)
    nn.init.normal_(layer.up, std=0.5)
    return layer


@settings(max_examples=30, deadline=None)
@given(seeds, operations, grids, channels)
@torch.no_grad()
def test_pointwise_merge_and_branch_are_the_layer(
    seed: int, names: list[str], grid: tuple[int, int], sizes: tuple[int, int]
) -> None:
    """``W0 + s Wd K0 We`` with the spatial rest as a branch: nothing is lost."""
    layer = random_linear(random_cell(seed, names, *sizes))
    x = torch.randn(2, *grid, 12)
    wanted = layer.base(x) + update(layer, x)
    near(layer(x), wanted)
    kernel = layer.cell.kernel()
    merged = nn.Linear(12, 9)
    merged.bias.copy_(layer.base.bias)
    merged.weight.copy_(layer.base.weight + layer.output() @ (pointwise_part(kernel) @ layer.down))
    near(BranchLinear(merged, layer.down, layer.output(), FixedKernel(spatial_part(kernel)))(x), wanted)


@settings(max_examples=30, deadline=None)
@given(seeds, st.lists(st.sampled_from([n for n in LINEAR if OPERATIONS[n].side == 1]), min_size=1, unique=True))
@torch.no_grad()
def test_a_pointwise_cell_merges_without_a_branch(seed: int, names: list[str]) -> None:
    layer = random_linear(random_cell(seed, names, partial=2))
    kernel, x = layer.cell.kernel(), torch.randn(2, 7, 7, 12)
    assert not spatial_part(kernel).any()
    weight = layer.base.weight + layer.output() @ (pointwise_part(kernel) @ layer.down)
    near(functional.linear(x, weight, layer.base.bias), layer.base(x) + update(layer, x))


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from([1, 3, 5]), operations, grids, channels)
@torch.no_grad()
def test_a_convolution_takes_its_cell_into_its_kernel(
    seed: int, side: int, names: list[str], grid: tuple[int, int], sizes: tuple[int, int]
) -> None:
    """The neck: one convolution of the base's size, for every operation that sees no more than it does."""
    fitting = [name for name in names if OPERATIONS[name].side <= side] or ["identity"]
    cell = random_cell(seed, fitting, *sizes)
    layer = AdaptedConv2d(nn.Conv2d(6, 5, side, padding=side // 2, bias=False), cell, 0.5)
    nn.init.normal_(layer.up, std=0.5)
    x = torch.randn(2, 6, *grid)
    wanted = layer.base(x) + torch.einsum(
        "or,brhw->bohw", layer.scale * layer.up, mixture(cell, torch.einsum("ra,bahw->brhw", layer.down, x))
    )
    near(layer(x), wanted)
    weight = layer.base.weight + torch.tensordot(layer.output(), layer.kernel(), dims=1)
    near(functional.conv2d(x, weight, padding=side // 2), wanted)
