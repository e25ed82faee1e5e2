"""Adapted linear layers, and where they go in an image encoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .cell import Cell


class AdaptedLinear(nn.Module):
    """A frozen linear layer with a low-rank update and a cell between its projections (METHOD, section 1).

    ``h = W0 x + bias + s * Wd C(We x)``. ``Wd`` starts at zero: an untrained layer is an exact no-op.

    Parameters
    ----------
    base : nn.Linear
        ``W0`` (b x a) and bias; never changed.
    rank : int
        r.
    scale : float
        s = lora_alpha / r.
    operations : sequence of str
        Of the cell.
    """

    def __init__(self, base: nn.Linear, rank: int, scale: float, operations: Sequence[str]) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = scale
        self.down = nn.Parameter(torch.empty(rank, base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        self.cell = Cell(rank, operations)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to tokens ``(B, H, W, a)`` or, for square windows, ``(B, N, a)``."""
        return self.base(x) + self.scale * functional.linear(self.spread(x), self.up)

    def spread(self, x: Tensor) -> Tensor:
        """Return ``C(We x)`` with the token layout of ``x`` and r channels."""
        return spatial(functional.linear(x, self.down), self.cell)


class BranchLinear(nn.Module):
    """A linear layer with its update kept as one fused branch: the pointwise part is in ``W0`` already.

    ``h = W0' x + bias + s * Wd (K' * We x)`` (METHOD, section 3, ``branch``).

    Parameters
    ----------
    base : nn.Linear
        With the pointwise part merged.
    down, up : Tensor
        ``We`` (r x a) and ``s * Wd`` (b x r).
    kernel : Tensor
        ``K'`` (r, r, k, k), its centre tap zero.
    """

    down: Tensor
    up: Tensor
    kernel: Tensor

    def __init__(self, base: nn.Linear, down: Tensor, up: Tensor, kernel: Tensor) -> None:
        super().__init__()
        self.base = base
        self.register_buffer("down", down)
        self.register_buffer("up", up)
        self.register_buffer("kernel", kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to tokens ``(B, H, W, a)`` or ``(B, N, a)``."""
        return self.base(x) + functional.linear(convolve(functional.linear(x, self.down), self.kernel), self.up)


def spatial(z: Tensor, operation: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a map on ``(B, r, H, W)`` to tokens ``(B, H, W, r)`` or ``(B, N, r)`` with N a square number.

    Raises
    ------
    ValueError
        N is not a square number.
    """
    shape = z.shape
    if z.ndim == 3:
        side = math.isqrt(shape[1])
        if side * side != shape[1]:
            raise ValueError(f"{shape[1]} tokens are not a square window")
        z = z.view(shape[0], side, side, shape[2])
    return operation(z.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).reshape(shape)


def convolve(z: Tensor, kernel: Tensor) -> Tensor:
    """Convolve tokens (as in :func:`spatial`) with a dense ``kernel`` ``(r, r, k, k)``, k odd, zero padding."""
    return spatial(z, lambda grid: functional.conv2d(grid, kernel, padding=kernel.shape[-1] // 2))


def attention_blocks(encoder: nn.Module) -> dict[str, nn.Module]:
    """Return the attention blocks of an image encoder in order, by path: those with ``attn.qkv`` and ``attn.proj``."""
    return {
        name: module
        for name, module in encoder.named_modules()
        if hasattr(module, "attn") and hasattr(module.attn, "qkv") and hasattr(module.attn, "proj")
    }


def target_layers(encoder: nn.Module, blocks: int) -> list[str]:
    """Return the paths of the linear layers to adapt: qkv and proj of the last ``blocks`` attention blocks."""
    names = list(attention_blocks(encoder))[-blocks:]
    return [f"{name}.attn.{layer}" for name in names for layer in ("qkv", "proj")]


def replace_layer(encoder: nn.Module, path: str, layer: nn.Module) -> None:
    """Put ``layer`` at ``path`` of ``encoder``."""
    parent, _, name = path.rpartition(".")
    setattr(encoder.get_submodule(parent), name, layer)


def inject(
    encoder: nn.Module, blocks: int, rank: int, scale: float, operations: Sequence[str]
) -> dict[str, AdaptedLinear]:
    """Replace the layers to adapt (see :func:`target_layers`) in place and return them by path."""
    adapted: dict[str, AdaptedLinear] = {}
    for path in target_layers(encoder, blocks):
        base = encoder.get_submodule(path)
        assert isinstance(base, nn.Linear)
        adapted[path] = AdaptedLinear(base, rank, scale, operations)
        replace_layer(encoder, path, adapted[path])
    return adapted
