"""Which layers of an image encoder are adapted, and putting adapted layers in their place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .cell import Cell
from .config import FineTuneConfig
from .experts import ExpertsCell
from .layers import AdaptedConv2d, AdaptedLinear
from .operations import OPERATIONS

#: Paths inside a block in the order of its forward pass, by target: of segment-anything's ViT and of TinyViT.
_IN_BLOCK = {
    "qkv": ("attn.qkv",),
    "qv": ("attn.qkv",),
    "proj": ("attn.proj",),
    "mlp": ("mlp.lin1", "mlp.lin2", "mlp.fc1", "mlp.fc2"),
}


def attention_blocks(encoder: nn.Module) -> dict[str, nn.Module]:
    """Return the attention blocks of an image encoder in order, by path: those with ``attn.qkv`` and ``attn.proj``."""
    return {
        name: module
        for name, module in encoder.named_modules()
        if hasattr(module, "attn") and hasattr(module.attn, "qkv") and hasattr(module.attn, "proj")
    }


def target_layers(encoder: nn.Module, blocks: int, targets: Sequence[str] = ("qkv", "proj")) -> list[str]:
    """Return the paths of the layers to adapt, in the order in which an image passes them.

    Parameters
    ----------
    encoder : nn.Module
        TinyViT or segment-anything's ViT.
    blocks : int
        The last so many attention blocks.
    targets : sequence of str
        ``qkv`` (whole) or ``qv`` (q and v only), ``proj``, ``mlp``: in those blocks; ``neck``: its convolutions.
    """
    found = []
    for name in list(attention_blocks(encoder))[-blocks:] if blocks else []:
        inside = dict(encoder.get_submodule(name).named_modules())
        wanted = [path for target, paths in _IN_BLOCK.items() if target in targets for path in paths]
        found += [f"{name}.{path}" for path in wanted if path in inside]
    if "neck" in targets:
        neck = encoder.get_submodule("neck").named_children()
        found += [f"neck.{name}" for name, module in neck if isinstance(module, nn.Conv2d)]
    return found


def replace_layer(encoder: nn.Module, path: str, layer: nn.Module) -> None:
    """Put ``layer`` at ``path`` of ``encoder``."""
    parent, _, name = path.rpartition(".")
    setattr(encoder.get_submodule(parent), name, layer)


def inject(encoder: nn.Module, config: FineTuneConfig) -> dict[str, AdaptedLinear | AdaptedConv2d]:
    """Replace the layers to adapt (see :func:`target_layers`) in place and return them by path.

    The scale of a layer is ``lora_alpha / rank`` divided by what its new cell lets through
    (:meth:`naslora_trainer.cell.Cell.passes`), so that every method begins with the update of plain LoRA: with ``none``
    among seven operations a cell would learn at 0.7 of its pace.
    """
    adapted: dict[str, AdaptedLinear | AdaptedConv2d] = {}
    for path in target_layers(encoder, config.blocks, config.targets):
        base = encoder.get_submodule(path)
        cell = _cell(config, base.kernel_size[0] if isinstance(base, nn.Conv2d) else None)
        scale = config.lora_alpha / config.rank / (cell.passes() or 1.0)
        if isinstance(base, nn.Conv2d):
            adapted[path] = AdaptedConv2d(base, cell, scale)
        else:
            assert isinstance(base, nn.Linear)
            only_qv = path.endswith("attn.qkv") and "qkv" not in config.targets
            rows = query_and_value_rows(encoder.get_submodule(path.removesuffix(".qkv"))) if only_qv else None
            windows = windows_of(encoder, path) if config.cell_sees == "map" else 1
            adapted[path] = AdaptedLinear(base, cell, scale, rows, windows)
        replace_layer(encoder, path, adapted[path])
    return adapted


def _cell(config: FineTuneConfig, side: int | None = None) -> Cell | ExpertsCell:
    """Return a new cell; for a convolution of that ``side`` only of operations that fold into it."""
    if side is None:
        return make_cell(config.method, config.rank, config.operations, config.searched_part)
    fitting = [name for name in config.operations if OPERATIONS[name].linear and OPERATIONS[name].side <= side]
    return Cell(config.rank, fitting or ("identity",), config.searched_part)


def make_cell(method: str, rank: int, operations: Sequence[str], partial: int) -> Cell | ExpertsCell:
    """Return a new cell of a linear layer."""
    return ExpertsCell(rank) if method == "conv-lora-experts" else Cell(rank, operations, partial)


def query_and_value_rows(attention: Any) -> Tensor:
    """Return (b,) of 0 and 1: the outputs of a fused qkv that are q or v.

    Segment-anything's ViT puts q, k and v of all heads one after the other, TinyViT those of each head.
    """
    if hasattr(attention, "key_dim"):  # TinyViT: per head q (key_dim), k (key_dim), v (d)
        head = torch.ones(attention.key_dim * 2 + attention.d)
        head[attention.key_dim : 2 * attention.key_dim] = 0
        return head.repeat(attention.num_heads)
    width = attention.qkv.out_features // 3
    rows = torch.ones(3 * width)
    rows[width : 2 * width] = 0
    return rows


def windows_of(encoder: Any, path: str) -> int:
    """Return how many windows the token grid has on a side where the layer at ``path`` sees it; 1 without windows."""
    block_path, _, inside = path.partition(".attn.")
    if not inside:
        return 1
    block = encoder.get_submodule(block_path)
    if hasattr(block, "input_resolution"):
        side = block.input_resolution[0]
    else:
        side = encoder.img_size // encoder.patch_embed.proj.kernel_size[0]
    return -(-side // block.window_size) if block.window_size else 1
