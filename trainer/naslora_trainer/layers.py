"""Adapted layers: a frozen linear layer or convolution with a low-rank update and a cell between its projections."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class _Adapted(nn.Module):
    """What adapted layers share: the frozen base, ``We`` (r x a), ``Wd`` (b x r) and the cell.

    ``Wd`` starts at zero: an untrained layer is an exact no-op.
    """

    rows: Tensor | None

    def __init__(self, base: Any, cell: Any, scale: float, sizes: tuple[int, int], rows: Tensor | None) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = scale
        self.cell = cell
        inputs, outputs = sizes
        self.down = nn.Parameter(torch.empty(cell.rank, inputs))
        self.up = nn.Parameter(torch.zeros(outputs, cell.rank))
        self.register_buffer("rows", rows, persistent=False)
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def output(self) -> Tensor:
        """Return ``s * Wd`` (b x r), zero in the rows that are not adapted."""
        up = self.up if self.rows is None else self.up * self.rows[:, None]
        return self.scale * up


class AdaptedLinear(_Adapted):
    """``h = W0 x + bias + s * Wd C(We x)`` (METHOD, section 1).

    Parameters
    ----------
    base : nn.Linear
        ``W0`` (b x a) and bias; never changed.
    cell : Cell or ExpertsCell
        On r channels.
    scale : float
        s = lora_alpha / r.
    rows : Tensor, optional
        (b,) of 0 and 1: the outputs that are adapted, for example q and v of a fused qkv. All by default.
    windows : int
        How many windows the token grid has on a side, where the cell is to see the whole map; 1: it sees what comes.
    """

    def __init__(self, base: nn.Linear, cell: Any, scale: float, rows: Tensor | None = None, windows: int = 1) -> None:
        super().__init__(base, cell, scale, (base.in_features, base.out_features), rows)
        self.windows = windows

    def forward(self, x: Tensor) -> Tensor:
        """Apply to tokens ``(B, H, W, a)`` or, for square windows, ``(B, N, a)``."""
        return self.base(x) + functional.linear(self.spread(x), self.output())

    def spread(self, x: Tensor) -> Tensor:
        """Return ``C(We x)`` with the token layout of ``x`` and r channels."""
        z = functional.linear(x, self.down)
        return z if self.cell.plain else spatial(z, self.cell, self.windows)


class AdaptedConv2d(_Adapted):
    """``h = W0 * x + s * Wd K * (We x)``: a convolution whose cell folds into its kernel exactly (METHOD, section 3.4).

    Parameters
    ----------
    base : nn.Conv2d
        Odd square kernel, stride 1, one group, zero padding that keeps the size; never changed.
    cell : Cell
        Linear, of operations that see no more than the base's own kernel does.
    scale : float
        s.
    """

    def __init__(self, base: nn.Conv2d, cell: Any, scale: float) -> None:
        super().__init__(base, cell, scale, (base.in_channels, base.out_channels), None)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to a map ``(B, a, H, W)``."""
        kernel = self.kernel()
        z = functional.conv2d(x, kernel, padding=kernel.shape[-1] // 2)
        return self.base(x) + functional.conv2d(z, self.output()[:, :, None, None])

    def kernel(self) -> Tensor:
        """Return ``K We`` (r, a, k, k), k the side of the base's kernel."""
        side = self.base.kernel_size[0]
        kernel = self.cell.kernel()
        margin = (kernel.shape[-1] - side) // 2
        if margin > 0:
            kernel = kernel[:, :, margin:-margin, margin:-margin]
        return torch.einsum("orhw,ra->oahw", kernel, self.down)


class BranchLinear(nn.Module):
    """A linear layer with its update, or the spatial part of it, kept as a branch: ``h = W0' x + bias + Wd C(We x)``.

    Parameters
    ----------
    base : nn.Linear
        ``W0'``: with the pointwise part merged, where there is one (METHOD, section 3, ``branch``).
    down, up : Tensor
        ``We`` (r x a) and ``s * Wd`` (b x r).
    cell : callable
        On ``(B, r, H, W)``.
    windows : int
        As in :class:`AdaptedLinear`.
    """

    down: Tensor
    up: Tensor

    def __init__(
        self, base: nn.Linear, down: Tensor, up: Tensor, cell: Callable[[Tensor], Tensor], windows: int = 1
    ) -> None:
        super().__init__()
        self.base = base
        self.register_buffer("down", down)
        self.register_buffer("up", up)
        self.cell = cell
        self.windows = windows

    def forward(self, x: Tensor) -> Tensor:
        """Apply to tokens ``(B, H, W, a)`` or ``(B, N, a)``."""
        z = spatial(functional.linear(x, self.down), self.cell, self.windows)
        return self.base(x) + functional.linear(z, self.up)


class FixedKernel(nn.Module):
    """A convolution of ``(B, r, H, W)`` with a kernel (r, r, k, k), k odd, zero padding."""

    kernel: Tensor

    def __init__(self, kernel: Tensor) -> None:
        super().__init__()
        self.register_buffer("kernel", kernel)

    def forward(self, z: Tensor) -> Tensor:
        """Same shape out."""
        return functional.conv2d(z, self.kernel, padding=self.kernel.shape[-1] // 2)


def spatial(z: Tensor, operation: Callable[[Tensor], Tensor], windows: int = 1) -> Tensor:
    """Apply a map on ``(B, r, H, W)`` to tokens ``(B, H, W, r)`` or ``(B, N, r)`` with N a square number.

    Parameters
    ----------
    z : Tensor
        Tokens; with ``windows > 1`` the first axis goes over images, rows and columns of windows.
    operation : callable
        Keeps the shape.
    windows : int
        Above 1 the windows are put together to one map (windows x windows) first.

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
    if windows > 1:
        grid = z.unflatten(0, (-1, windows, windows)).permute(0, 5, 1, 3, 2, 4)  # B, r, rows, H, cols, W
        whole = operation(grid.flatten(4, 5).flatten(2, 3))
        back = whole.unflatten(2, (windows, -1)).unflatten(4, (windows, -1))
        return back.permute(0, 2, 4, 3, 5, 1).reshape(shape)
    return operation(z.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).reshape(shape)
