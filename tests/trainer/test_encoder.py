from __future__ import annotations

import pytest
import torch
from segment_anything.modeling import ImageEncoderViT, Sam
from torch import nn

from naslora_trainer.encoder import split
from naslora_trainer.targets import target_layers


@torch.no_grad()
@pytest.mark.parametrize("blocks", [0, 1, 2, 4])
def test_prefix_and_suffix_are_the_vit(small_vit: ImageEncoderViT, blocks: int) -> None:
    x = torch.randn(1, 3, 128, 128)
    first = target_layers(small_vit, blocks)[0] if blocks else None
    prefix, suffix = split(small_vit, first)
    assert torch.equal(suffix(prefix(x)), small_vit(x))


@torch.no_grad()
def test_prefix_and_suffix_are_the_tiny_vit(base_sam: Sam) -> None:
    encoder = base_sam.image_encoder
    x = torch.randn(1, 3, 256, 256)
    prefix, suffix = split(encoder, target_layers(encoder, 2)[0])
    assert torch.equal(suffix(prefix(x)), encoder(x))


def test_another_encoder_is_refused() -> None:
    with pytest.raises(TypeError, match="image encoder"):
        split(nn.Linear(2, 2), None)
