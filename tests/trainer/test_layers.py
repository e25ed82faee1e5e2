from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from segment_anything.modeling.image_encoder import window_partition
from torch import nn

from naslora_trainer.cell import Cell
from naslora_trainer.config import METHOD_OPERATIONS
from naslora_trainer.layers import AdaptedConv2d, AdaptedLinear, spatial
from naslora_trainer.operations import OPERATIONS as REGISTRY

OPERATIONS = METHOD_OPERATIONS["nas-lora"]


def test_an_untrained_layer_is_an_exact_no_op() -> None:
    base = nn.Linear(12, 20)
    x = torch.randn(3, 49, 12)
    assert torch.equal(AdaptedLinear(base, Cell(4, OPERATIONS), 1.0)(x), base(x))


def test_both_token_layouts_give_the_same() -> None:
    layer = AdaptedLinear(nn.Linear(6, 5), Cell(3, OPERATIONS), 2.0)
    nn.init.normal_(layer.up)
    x = torch.randn(2, 4, 4, 6)
    assert torch.equal(layer(x).flatten(1, 2), layer(x.flatten(1, 2)))


def test_tokens_of_two_windows_do_not_mix() -> None:
    layer = AdaptedLinear(nn.Linear(6, 5), Cell(3, OPERATIONS), 1.0)
    nn.init.normal_(layer.up)
    windows = torch.randn(2, 49, 6)
    changed = windows.clone()
    changed[1] += 1
    assert torch.equal(layer(windows)[0], layer(changed)[0])


def test_a_window_that_is_not_square_is_refused() -> None:
    with pytest.raises(ValueError, match="square"):
        spatial(torch.zeros(1, 50, 3), lambda z: z)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(1, 6), st.sampled_from([0.5, 4.0, 16.0]))
def test_with_identity_alone_the_layer_is_pefts_lora(seed: int, rank: int, alpha: float) -> None:
    """Differential: output, and gradients of both projections and of the tokens, in both token layouts."""
    torch.manual_seed(seed)
    base = nn.Linear(16, 24)
    mine = AdaptedLinear(copy.deepcopy(base), Cell(rank, ("identity",)), alpha / rank)
    nn.init.normal_(mine.up)
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=["0"])
    lora = get_peft_model(nn.Sequential(base), config).base_model.model[0]
    down, up = lora.lora_A["default"].weight, lora.lora_B["default"].weight
    down.data, up.data = mine.down.data.clone(), mine.up.data.clone()
    for shape in ((2, 9, 16), (2, 3, 4, 16)):
        tokens = [torch.randn(shape).requires_grad_(True)]
        tokens.append(tokens[0].detach().clone().requires_grad_(True))
        answers = mine(tokens[0]), lora(tokens[1])
        torch.testing.assert_close(*answers, atol=1e-6, rtol=1e-6)
        wanted = torch.randn_like(answers[0]) / answers[0].numel()
        pairs = []
        for answer, inputs in zip(answers, ((mine.down, mine.up, tokens[0]), (down, up, tokens[1])), strict=True):
            pairs.append(torch.autograd.grad((answer * wanted).sum(), inputs))
        torch.testing.assert_close(*pairs, atol=1e-6, rtol=1e-6)


def test_a_cell_that_sees_the_map_works_across_windows() -> None:
    """2 x 2 windows of 3 x 3 tokens: the same as on the 6 x 6 grid that they were cut from."""
    layer = AdaptedLinear(nn.Linear(6, 5), Cell(3, OPERATIONS), 1.0, windows=2)
    nn.init.normal_(layer.up)
    whole = AdaptedLinear(layer.base, layer.cell, 1.0)
    whole.down, whole.up = layer.down, layer.up
    grid = torch.randn(2, 6, 6, 6)

    def cut(x: torch.Tensor) -> torch.Tensor:
        return window_partition(x, 3)[0]

    torch.testing.assert_close(layer(cut(grid)), cut(whole(grid)), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(layer(cut(grid).flatten(1, 2)), cut(whole(grid)).flatten(1, 2), atol=1e-5, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31 - 1), st.sampled_from([1, 3, 5]), st.integers(1, 8))
def test_the_cell_of_a_convolution_folds_exactly(seed: int, side: int, size: int) -> None:
    torch.manual_seed(seed)
    fitting = [name for name in OPERATIONS if REGISTRY[name].side <= side]
    layer = AdaptedConv2d(nn.Conv2d(6, 5, side, padding=side // 2), Cell(3, fitting), 0.5)
    for parameter in (layer.up, layer.cell.alpha, *layer.cell.learned()):
        nn.init.normal_(parameter)
    x = torch.randn(2, 6, size, size + 1)
    weight = layer.base.weight + torch.tensordot(layer.output(), layer.kernel(), dims=1)
    merged = nn.functional.conv2d(x, weight, layer.base.bias, padding=side // 2)
    torch.testing.assert_close(merged, layer(x), atol=1e-5, rtol=1e-5)
