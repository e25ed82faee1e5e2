"""The candidate operations of the searched cell: a registry, in which one entry adds an operation.

They act on ``r`` channels with stride 1 and keep H and W (METHOD, section 1). A linear one is a ``k x k`` convolution
with zero padding, described by the kernel that its parameters stand for; a mixture of linear operations is *one*
kernel, which is how the cell computes it, in training as well. One that is not linear is described by what it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

#: Side of the kernel that holds every linear operation of the registry.
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
    kernel : callable, optional
        ``(parameters, rank) -> Tensor``: the dense kernel ``(rank, rank, k, k)``, k odd, at most 5; linear ones only.
    apply : callable, optional
        ``(parameters, z) -> Tensor``: what it does to ``z`` ``(B, rank, H, W)``; only those that are not linear.
    side : int
        Side of the neighbourhood that it sees, in tokens.
    """

    name: str
    start: Callable[[int], Tensor]
    kernel: Callable[[Tensor, int], Tensor] | None = None
    apply: Callable[[Tensor, Tensor], Tensor] | None = None
    side: int = 1

    @property
    def linear(self) -> bool:
        """True when it is a convolution."""
        return self.kernel is not None

    def passes(self) -> float:
        """Return which share of a token's own value it passes on before it has learned anything.

        One that is not linear counts as the identity.
        """
        if self.kernel is None:
            return 1.0
        with torch.device("cpu"):  # also where a model without memory is being built
            kernel = self.kernel(self.start(1), 1)
        return float(kernel[0, 0, kernel.shape[-1] // 2, kernel.shape[-1] // 2])


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


def _max_pool(parameters: Tensor, z: Tensor) -> Tensor:
    return functional.max_pool2d(z, 3, stride=1, padding=1)


def _separable_start(rank: int) -> Tensor:
    """Depthwise taps (r, 9) and pointwise weights (r, r), side by side."""
    return torch.cat([_dirac_depthwise(3)(rank).flatten(1), torch.eye(rank)], dim=1)


def _separable(parameters: Tensor, z: Tensor) -> Tensor:
    """Depthwise 3 x 3, GELU, pointwise."""
    rank = len(parameters)
    spread = functional.conv2d(z, parameters[:, :9].view(rank, 1, 3, 3), padding=1, groups=rank)
    return functional.conv2d(functional.gelu(spread), parameters[:, 9:].reshape(rank, rank, 1, 1))


OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation("none", _nothing, _constant(lambda r: torch.zeros(r, r, 1, 1))),
        Operation("identity", _nothing, _constant(lambda r: torch.eye(r).view(r, r, 1, 1))),
        Operation("conv1x1", _dirac_dense(1), lambda taps, rank: taps),
        Operation("conv3x3", _dirac_dense(3), lambda taps, rank: taps, side=3),
        Operation("dw_conv3x3", _dirac_depthwise(3), lambda taps, rank: _on_diagonal(taps), side=3),
        Operation("dw_conv5x5", _dirac_depthwise(5), lambda taps, rank: _on_diagonal(taps), side=5),
        Operation("dil_conv3x3", _dirac_depthwise(3), _dilated, side=5),
        Operation("avg_pool3x3", _nothing, _constant(lambda r: _on_diagonal(torch.full((r, 3, 3), 1 / 9))), side=3),
        Operation("max_pool3x3", _nothing, apply=_max_pool, side=3),
        Operation("sep_conv3x3_act", _separable_start, apply=_separable, side=3),
    )
}
