from __future__ import annotations

import copy

import pytest
import torch
from segment_anything.modeling import ImageEncoderViT, Sam
from torch import nn

from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.adapter import Adapter, AdapterMeta
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.layers import AdaptedConv2d, AdaptedLinear
from naslora_trainer.merging import apply
from naslora_trainer.network import TrainableSam
from naslora_trainer.targets import inject, query_and_value_rows, target_layers, windows_of


def test_inject_takes_qkv_and_proj_of_the_last_blocks(base_sam: Sam) -> None:
    encoder = copy.deepcopy(base_sam.image_encoder)
    adapted = inject(encoder, FineTuneConfig(blocks=2, targets=("qkv", "proj")))
    assert list(adapted) == [f"layers.3.blocks.{i}.attn.{n}" for i in (0, 1) for n in ("qkv", "proj")]
    assert len(target_layers(base_sam.image_encoder, 64)) == 20
    trainable = {name for name, p in encoder.named_parameters() if p.requires_grad}
    assert trainable and all(any(name.startswith(path) for path in adapted) for name in trainable)


@torch.no_grad()
def test_every_target_of_the_vit_starts_as_a_no_op_and_can_be_changed(small_vit: ImageEncoderViT) -> None:
    x = torch.randn(1, 3, 128, 128)
    before = small_vit(x)
    config = FineTuneConfig(blocks=2, targets=("qv", "proj", "mlp", "neck"), cell_sees="map")
    adapted = inject(small_vit, config)
    assert list(adapted) == [
        *(f"blocks.{i}.{n}" for i in (2, 3) for n in ("attn.qkv", "attn.proj", "mlp.lin1", "mlp.lin2")),
        "neck.0", "neck.2",
    ]  # fmt: skip
    assert isinstance(adapted["neck.2"], AdaptedConv2d)
    torch.testing.assert_close(small_vit(x), before, atol=1e-5, rtol=1e-5)
    for layer in adapted.values():
        torch.nn.init.normal_(layer.up)
        assert not torch.allclose(small_vit(x), before, atol=1e-3)
        torch.nn.init.zeros_(layer.up)


def test_windows_are_counted(small_vit: ImageEncoderViT, base_sam: Sam) -> None:
    assert windows_of(small_vit, "blocks.0.attn.qkv") == 3 and windows_of(small_vit, "blocks.1.attn.qkv") == 1
    assert windows_of(small_vit, "blocks.0.mlp.lin1") == 1
    assert windows_of(base_sam.image_encoder, "layers.2.blocks.0.attn.qkv") == 5
    assert windows_of(base_sam.image_encoder, "layers.3.blocks.0.attn.proj") == 10


@torch.no_grad()
@pytest.mark.parametrize("kind", ["vit", "tiny_vit"])
def test_q_and_v_rows_leave_the_keys_alone(kind: str, small_vit: ImageEncoderViT, base_sam: Sam) -> None:
    encoder = small_vit if kind == "vit" else copy.deepcopy(base_sam.image_encoder)
    path = "blocks.1.attn" if kind == "vit" else "layers.3.blocks.0.attn"
    attention = encoder.get_submodule(path)
    rows = query_and_value_rows(attention)
    assert rows.shape == (attention.qkv.out_features,) and rows.sum() == 2 / 3 * len(rows)
    adapted = inject(encoder, FineTuneConfig(targets=("qv",)))[f"{path}.qkv"]
    torch.nn.init.normal_(adapted.up)
    x = torch.randn(2, 49, adapted.base.in_features)
    changed = (adapted(x) - adapted.base(x)).abs().amax((0, 1)) > 0
    assert torch.equal(changed, rows.bool())
    heads = attention.num_heads
    split = changed.view(3, -1) if kind == "vit" else changed.view(heads, 3, -1).transpose(0, 1).flatten(1)
    assert split.any(1).tolist() == [True, False, True]


@torch.no_grad()
@pytest.mark.parametrize(
    "settings",
    [
        {"candidates": ("identity", "max_pool3x3", "sep_conv3x3_act")},
        {"method": "nas-pc-lora"},
        {"method": "conv-lora-experts"},
        {"cell_sees": "map"},
        {"decoder": "lora", "targets": ("mlp", "neck")},
        {"method": "conv-lora-experts", "targets": ("qv", "neck")},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_the_file_answers_as_the_network_in_training(settings: dict[str, object], base_sam: Sam) -> None:
    config = FineTuneConfig.checked(blocks=2, **settings)
    network = TrainableSam(config, "cpu")
    network.sam.eval()
    torch.manual_seed(0)
    for layer in network.layers.values():
        torch.nn.init.normal_(layer.up, std=0.05)
        for parameter in layer.cell.learned():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    for parameter in network.decoder_parameters():
        parameter.add_(torch.randn_like(parameter) * 0.001)
    meta = AdapterMeta(
        base=DEFAULT_MODEL, fingerprint=network.fingerprint, method=config.method, rank=config.rank,
        operations=config.operations, partial=config.searched_part, cell_sees=config.cell_sees,
    )  # fmt: skip
    answers = apply(copy.deepcopy(base_sam), Adapter(network.tensors(), meta))
    x, sparse = torch.rand(1, 3, 256, 256), torch.randn(2, 2, 256)
    embedding = network.sam.image_encoder(x)
    torch.testing.assert_close(answers.image_encoder(x), embedding, atol=2e-4, rtol=1e-3)
    dense = base_sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(2, -1, 64, 64)
    theirs = answers.mask_decoder.predict_masks(embedding, base_sam.prompt_encoder.get_dense_pe(), sparse, dense)
    torch.testing.assert_close(network.decode(embedding, sparse, dense[:1]), theirs, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("method", ["nas-lora", "nas-pc-lora", "conv-lora"])
def test_every_method_begins_with_the_update_of_plain_lora(method: str, base_sam: Sam) -> None:
    """On a grid of one token all that a cell does is to pass it on."""
    updates = {}
    for name in (method, "lora"):
        layers = inject(copy.deepcopy(base_sam).image_encoder, FineTuneConfig(method=name, blocks=1, rank=4))
        layer = next(layer for layer in layers.values() if isinstance(layer, AdaptedLinear))
        layer.down.data.fill_(0.1)
        layer.up.data.fill_(0.2)
        updates[name] = nn.functional.linear(
            layer.spread(torch.ones(1, 1, 1, layer.down.shape[1])), layer.output()
        ).detach()
    assert float(updates[method].mean()) == pytest.approx(float(updates["lora"].mean()), rel=1e-5)
