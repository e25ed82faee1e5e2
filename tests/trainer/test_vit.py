"""Segment-anything's own ViTs in their real sizes: layers, windows with padding, and the way into a stock file."""

from __future__ import annotations

import copy

import pytest
import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import ImageEncoderViT, Sam
from segment_anything.modeling.image_encoder import window_partition, window_unpartition
from torch import Tensor, nn
from torch.nn import functional

from naslora_trainer.adapter import Adapter, AdapterMeta
from naslora_trainer.base import fingerprint
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.layers import AdaptedConv2d, AdaptedLinear, BranchLinear
from naslora_trainer.merging import apply, merge
from naslora_trainer.network import TrainableSam
from naslora_trainer.targets import inject, target_layers, windows_of

EVERYTHING = ("qkv", "proj", "mlp", "neck")


@pytest.fixture(scope="module")
def vit_b() -> Sam:
    """Random weights of the real size: blocks 0 and 1 windowed, 2 global, and so on."""
    torch.manual_seed(0)
    sam = sam_model_registry["vit_b"]().requires_grad_(False).eval()
    for name, parameter in sam.image_encoder.named_parameters():
        if "rel_pos" in name or name == "pos_embed":  # zero at the start, unlike in a trained model
            nn.init.normal_(parameter, std=0.1)
    return sam


@torch.no_grad()
def trained(sam: Sam, monkeypatch: pytest.MonkeyPatch, **settings: object) -> tuple[TrainableSam, Adapter]:
    """A network on a copy of ``sam`` with everything that is trained moved at random, and its adapter."""
    monkeypatch.setattr("naslora_trainer.network.build", lambda *_: copy.deepcopy(sam))
    config = FineTuneConfig.checked(**settings)
    network = TrainableSam(config, "cpu")
    generator = torch.Generator().manual_seed(0)
    for layer in network.layers.values():
        for parameter in (layer.up, *layer.cell.learned()):
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    meta = AdapterMeta(
        base="sam_vit_b", fingerprint=network.fingerprint, method=config.method, rank=config.rank,
        operations=config.operations, partial=config.searched_part, cell_sees=config.cell_sees,
    )  # fmt: skip
    network.sam.eval()
    return network, Adapter(network.tensors(), meta)


def step(encoder: ImageEncoderViT, block: int, tokens: Tensor) -> Tensor:
    """One block and the neck behind it."""
    return encoder.neck(encoder.blocks[block](tokens).permute(0, 3, 1, 2))


@torch.no_grad()
def test_a_merged_vit_b_is_a_stock_checkpoint(vit_b: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strictly loaded; a windowed block (14 x 14, padded), a global one and the neck answer as in training."""
    network, adapter = trained(vit_b, monkeypatch, method="lora", blocks=2, targets=EVERYTHING)
    stock = sam_model_registry["vit_b"]()
    stock.load_state_dict(merge(adapter, vit_b.state_dict()), strict=True)
    assert fingerprint(vit_b) == adapter.meta.fingerprint
    # A global block has 4096 tokens in use; a part of the map takes a hundredth of the time.
    for block, side in ((10, 64), (11, 20)):
        tokens = torch.randn(1, side, side, 768)
        got = step(stock.image_encoder, block, tokens)
        torch.testing.assert_close(got, step(network.sam.image_encoder, block, tokens), atol=1e-4, rtol=1e-4)
        assert (got - step(vit_b.image_encoder, block, tokens)).abs().max() > 1e-2


@torch.no_grad()
@pytest.mark.parametrize("sees", ["window", "map"])
def test_a_branch_of_vit_b_answers_as_in_training(sees: str, vit_b: Sam, monkeypatch: pytest.MonkeyPatch) -> None:
    network, adapter = trained(vit_b, monkeypatch, blocks=2, targets=EVERYTHING, cell_sees=sees)
    assert adapter.has_branch
    fused = apply(copy.deepcopy(vit_b), adapter).image_encoder
    assert isinstance(fused.blocks[10].attn.qkv, BranchLinear) and isinstance(fused.neck[2], nn.Conv2d)
    assert fused.blocks[10].attn.qkv.windows == (5 if sees == "map" else 1)
    for block, side in ((10, 64), (11, 20)):
        tokens = torch.randn(1, side, side, 768)
        wanted = step(network.sam.image_encoder, block, tokens)
        torch.testing.assert_close(step(fused, block, tokens), wanted, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize(("name", "depth", "width"), [("vit_b", 12, 768), ("vit_l", 24, 1024), ("vit_h", 32, 1280)])
def test_every_layer_of_the_large_models_is_found(name: str, depth: int, width: int) -> None:
    """Without memory for their weights: which layers, what windows they see, and that the merge has their shapes."""
    with torch.device("meta"):
        sam = sam_model_registry[name]()
        stock = {key: tensor.shape for key, tensor in sam.state_dict().items()}
        encoder = sam.image_encoder
        paths = target_layers(encoder, 64, EVERYTHING)
        inside = ("attn.qkv", "attn.proj", "mlp.lin1", "mlp.lin2")
        assert paths == [*(f"blocks.{i}.{path}" for i in range(depth) for path in inside), "neck.0", "neck.2"]
        last = target_layers(encoder, 3)
        assert last == [f"blocks.{i}.attn.{path}" for i in range(depth - 3, depth) for path in ("qkv", "proj")]
        every_fourth = {i for i in range(depth) if windows_of(encoder, f"blocks.{i}.attn.qkv") == 1}
        assert every_fourth == set(range(depth // 4 - 1, depth, depth // 4))
        assert windows_of(encoder, "blocks.0.attn.qkv") == 5  # 64 tokens on a side, padded to 70
        layers = inject(encoder, FineTuneConfig(blocks=64, targets=EVERYTHING, rank=8))
    assert list(layers) == paths and layers["blocks.0.attn.qkv"].up.shape == (3 * width, 8)
    for path, layer in layers.items():
        down = layer.kernel() if isinstance(layer, AdaptedConv2d) else layer.down
        update = torch.tensordot(layer.output(), down, dims=1)
        assert update.shape == stock[f"image_encoder.{path}.weight"] and update.is_meta


def update_of(layer: AdaptedLinear, x: Tensor) -> Tensor:
    """``s * Wd K * (We x)`` on a map (B, H, W, a), zeros beyond its border."""
    z = functional.linear(x, layer.down).permute(0, 3, 1, 2)
    spread = functional.conv2d(z, layer.cell.kernel(), padding=2)
    return functional.linear(spread.permute(0, 2, 3, 1), layer.output())


@torch.no_grad()
@pytest.mark.parametrize("sees", ["window", "map"])
@pytest.mark.parametrize("size", [64, 8])
def test_padding_is_what_segment_anything_makes_of_it(
    sees: str, size: int, vit_b: Sam, small_vit: ImageEncoderViT
) -> None:
    """The tokens that pad the last windows are zero when they reach qkv, and stay zero in the cell.

    So for a map they are the zeros beyond its border, and for a window the zeros that fill it.
    """
    encoder = copy.deepcopy(vit_b.image_encoder) if size == 64 else small_vit
    config = FineTuneConfig(blocks=64, cell_sees=sees)
    layer = inject(encoder, config)["blocks.0.attn.qkv"]
    for parameter in (layer.up, layer.cell.alpha, *layer.cell.learned()):
        nn.init.normal_(parameter, std=0.3)
    window = encoder.blocks[0].window_size
    x = torch.randn(2, size, size, layer.base.in_features)
    windows, padded = window_partition(x, window)
    assert padded[0] > size
    got = window_unpartition(layer(windows), window, padded, (size, size))
    if sees == "map":
        update = update_of(layer, x)  # as if there were no windows and no padding
    else:
        alone = [update_of(layer, windows[i : i + 1]) for i in range(len(windows))]
        update = window_unpartition(torch.cat(alone), window, padded, (size, size))
    torch.testing.assert_close(got, layer.base(x) + update, atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("sees", ["window", "map"])
def test_padding_tokens_behind_attention_are_segment_anythings(sees: str, small_vit: ImageEncoderViT) -> None:
    """Attention gives them values, in the stock model as well; the cell of proj sees those, and nothing else changes.

    The block is written out here with the windows as one padded map.
    """
    encoder = small_vit
    layer = inject(encoder, FineTuneConfig(blocks=64, targets=("proj",), cell_sees=sees))["blocks.0.attn.proj"]
    for parameter in (layer.up, *layer.cell.learned()):
        nn.init.normal_(parameter, std=0.3)
    block, x = encoder.blocks[0], torch.randn(1, 8, 8, 32)
    seen: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    got = block(x)
    hook.remove()
    whole = window_unpartition(seen[0], 3, (9, 9), (9, 9))
    assert whole[:, 8:].abs().max() > 0
    if sees == "map":
        update = update_of(layer, whole)[:, :8, :8]
    else:
        alone = torch.cat([update_of(layer, seen[0][i : i + 1]) for i in range(9)])
        update = window_unpartition(alone, 3, (9, 9), (8, 8))
    attended = x + layer.base(whole)[:, :8, :8] + update
    torch.testing.assert_close(got, attended + block.mlp(block.norm2(attended)), atol=1e-4, rtol=1e-4)
