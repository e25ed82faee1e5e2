"""The searched cell: a softmax mixture of linear operations, computed as one convolution."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .operations import KERNEL_SIDE, OPERATIONS, centred


class Cell(nn.Module):
    """``C(z) = sum_i p_i O_i(z)`` with ``p = softmax(alpha)`` (METHOD, section 1).

    Parameters
    ----------
    rank : int
        Channels it acts on.
    operations : sequence of str
        Names in :data:`naslora_trainer.operations.OPERATIONS`, at least one.
    """

    active: Tensor

    def __init__(self, rank: int, operations: Sequence[str]) -> None:
        super().__init__()
        self.rank = rank
        self.operations = tuple(operations)
        self.alpha = nn.Parameter(torch.zeros(len(self.operations)))
        self.weights = nn.ParameterList(nn.Parameter(OPERATIONS[name].start(rank)) for name in self.operations)
        self.register_buffer("active", torch.ones(len(self.operations), dtype=torch.bool))

    def probabilities(self) -> Tensor:
        """Return ``p`` ``(operations,)``; it sums to 1, and a dropped operation has exactly 0."""
        return torch.softmax(self.alpha.masked_fill(~self.active, -torch.inf), dim=0)

    def kernel(self) -> Tensor:
        """Return the one kernel ``(r, r, 5, 5)`` that the mixture is."""
        parts = [
            p * centred(OPERATIONS[name].kernel(taps, self.rank))
            for p, name, taps in zip(self.probabilities(), self.operations, self.weights, strict=True)
        ]
        return torch.stack(parts).sum(dim=0)

    def forward(self, z: Tensor) -> Tensor:
        """Apply the cell to ``z`` ``(B, r, H, W)``; same shape out, zeros beyond the border."""
        if self.operations == ("identity",):
            return z
        return functional.conv2d(z, self.kernel(), padding=KERNEL_SIDE // 2)

    @torch.no_grad()
    def prune(self, threshold: float) -> None:
        """Drop operations whose probability is below ``threshold``; the most probable one always stays."""
        p = self.probabilities()
        keep = p >= threshold
        keep[p.argmax()] = True
        self.active.copy_(keep)

    def summary(self) -> dict[str, float]:
        """Return the probability of each operation."""
        return dict(zip(self.operations, self.probabilities().tolist(), strict=True))
