"""The candidate operations of the searched cell.

All of them are linear, act on ``r`` channels with stride 1 and zero padding, and so are ``k x k`` convolutions
(METHOD, sections 1 and 3). An operation is therefore described by its parameters and by the kernel that they
stand for; a mixture of operations is *one* kernel, which is how the cell computes it, in training as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

#: Side of the kernel that holds every operation of the registry.
KERNEL_SIDE = 5


@dataclass(frozen=True)
class Operation:
    """One entry of the search space.

    Attributes
    ----------
    name : str
        Its key in :data:`OPERATIONS`.
    start : callable
        ``rank -> Tensor``: the initial parameters (Dirac for convolutions), or an empty tensor.
    kernel : callable
        ``(parameters, rank) -> Tensor``: the dense kernel ``(rank, rank, k, k)``, k odd and at most 5.
    """

    name: str
    start: Callable[[int], Tensor]
    kernel: Callable[[Tensor, int], Tensor]


def centred(kernel: Tensor, side: int = KERNEL_SIDE) -> Tensor:
    """Return ``kernel`` ``(r, r, k, k)`` zero-padded on all sides to ``(r, r, side, side)``."""
    margin = (side - kernel.shape[-1]) // 2
    return functional.pad(kernel, (margin,) * 4)


def _nothing(rank: int) -> Tensor:
    return torch.empty(0)


def _dirac_depthwise(side: int) -> Callable[[int], Tensor]:
    def start(rank: int) -> Tensor:
        taps = torch.zeros(rank, side, side)
        taps[:, side // 2, side // 2] = 1
        return taps

    return start


def _dirac_dense(side: int) -> Callable[[int], Tensor]:
    return lambda rank: torch.nn.init.dirac_(torch.empty(rank, rank, side, side))


def _on_diagonal(taps: Tensor) -> Tensor:
    """(r, k, k) depthwise taps -> (r, r, k, k) dense kernel."""
    rank, side, _ = taps.shape
    return torch.eye(rank, dtype=taps.dtype, device=taps.device).view(rank, rank, 1, 1) * taps.view(rank, 1, side, side)


def _dilated(taps: Tensor, rank: int) -> Tensor:
    """Depthwise 3 x 3 taps with dilation 2 -> dense 5 x 5 kernel."""
    spread = torch.zeros(rank, 5, 5, dtype=taps.dtype, device=taps.device)
    spread[:, ::2, ::2] = taps
    return _on_diagonal(spread)


def _constant(make: Callable[[int], Tensor]) -> Callable[[Tensor, int], Tensor]:
    """A kernel without parameters; ``parameters`` only carries type and device."""
    return lambda parameters, rank: make(rank).to(parameters)


OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation("none", _nothing, _constant(lambda r: torch.zeros(r, r, 1, 1))),
        Operation("identity", _nothing, _constant(lambda r: torch.eye(r).view(r, r, 1, 1))),
        Operation("conv1x1", _dirac_dense(1), lambda taps, rank: taps),
        Operation("conv3x3", _dirac_dense(3), lambda taps, rank: taps),
        Operation("dw_conv3x3", _dirac_depthwise(3), lambda taps, rank: _on_diagonal(taps)),
        Operation("dw_conv5x5", _dirac_depthwise(5), lambda taps, rank: _on_diagonal(taps)),
        Operation("dil_conv3x3", _dirac_depthwise(3), _dilated),
        Operation("avg_pool3x3", _nothing, _constant(lambda r: _on_diagonal(torch.full((r, 3, 3), 1 / 9)))),
    )
}
