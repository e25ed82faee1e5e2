from __future__ import annotations

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from segment_anything.modeling import Sam
from torch import nn

from naslora_trainer.cell import Cell
from naslora_trainer.config import METHOD_OPERATIONS, FineTuneConfig
from naslora_trainer.layers import AdaptedLinear, spatial
from naslora_trainer.targets import inject, target_layers

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


def test_with_identity_alone_the_layer_is_pefts_lora() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(16, 24)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x)

    net = Net()
    mine = AdaptedLinear(copy.deepcopy(net.layer), Cell(4, ("identity",)), 8 / 4)
    theirs = get_peft_model(net, LoraConfig(r=4, lora_alpha=8, target_modules=["layer"]))
    lora = theirs.base_model.model.layer
    nn.init.normal_(mine.up)
    lora.lora_A["default"].weight.data = mine.down.data.clone()
    lora.lora_B["default"].weight.data = mine.up.data.clone()
    x = torch.randn(2, 9, 16)
    torch.testing.assert_close(mine(x), theirs(x), atol=1e-6, rtol=0)


def test_inject_takes_qkv_and_proj_of_the_last_blocks(base_sam: Sam) -> None:
    encoder = copy.deepcopy(base_sam.image_encoder)
    adapted = inject(encoder, FineTuneConfig(blocks=2))
    assert list(adapted) == [f"layers.3.blocks.{i}.attn.{n}" for i in (0, 1) for n in ("qkv", "proj")]
    assert len(target_layers(base_sam.image_encoder, 64)) == 20
    trainable = {name for name, p in encoder.named_parameters() if p.requires_grad}
    assert trainable and all(any(name.startswith(path) for path in adapted) for name in trainable)
