"""The searched cell: a softmax mixture of operations, its linear part computed as one convolution."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .operations import KERNEL_SIDE, OPERATIONS, centred


class Cell(nn.Module):
    """``C(z) = sum_i p_i O_i(z)`` with ``p = softmax(alpha / temperature)`` (METHOD, section 1).

    With partial channels (NAS-PC-LoRA, after PC-DARTS, Xu et al. 2020) only the first ``r / k`` channels pass through
    the operations, the others bypass them, and the channels are shuffled afterwards.

    Parameters
    ----------
    rank : int
        Channels it acts on.
    operations : sequence of str
        Names in :data:`naslora_trainer.operations.OPERATIONS`, at least one.
    partial : int
        k: one channel in k is searched, at least one; 1: all of them.

    Attributes
    ----------
    alpha : nn.Parameter
        (operations,): architecture weights, at first zero.
    temperature : Tensor
        Scalar, above 0: the lower, the more decided is ``p``.
    """

    active: Tensor
    temperature: Tensor
    order: Tensor

    def __init__(self, rank: int, operations: Sequence[str], partial: int = 1) -> None:
        super().__init__()
        self.rank = rank
        self.operations = tuple(operations)
        self.searched = max(1, rank // partial)
        self.alpha = nn.Parameter(torch.zeros(len(self.operations)))
        self.weights = nn.ParameterList(nn.Parameter(OPERATIONS[name].start(self.searched)) for name in self.operations)
        self.register_buffer("active", torch.ones(len(self.operations), dtype=torch.bool))
        self.register_buffer("temperature", torch.ones(()))
        order = torch.arange(rank)
        if self.searched < rank and rank % self.searched == 0:
            order = order.view(-1, self.searched).T.flatten()
        self.register_buffer("order", order, persistent=False)

    @property
    def plain(self) -> bool:
        """True when it is the identity whatever it learns."""
        return self.operations == ("identity",) and self.searched == self.rank

    @property
    def linear(self) -> bool:
        """True when every operation that is left is a convolution, so that :meth:`kernel` is the whole cell."""
        # Which are left is asked only of the others: reading the mask would make a GPU wait.
        return all(OPERATIONS[name].linear or not on for name, on in zip(self.operations, self.active, strict=True))

    def probabilities(self) -> Tensor:
        """Return ``p`` ``(operations,)``; it sums to 1, and a dropped operation has exactly 0."""
        return torch.softmax((self.alpha / self.temperature).masked_fill(~self.active, -torch.inf), dim=0)

    def kernel(self) -> Tensor:
        """Return the one kernel ``(r, r, 5, 5)`` that the linear operations of the mixture are."""
        kernel = self.alpha.new_zeros(self.searched, self.searched, KERNEL_SIDE, KERNEL_SIDE)
        for p, name, taps in zip(self.probabilities(), self.operations, self.weights, strict=True):
            operation = OPERATIONS[name]
            if operation.kernel is not None:
                kernel = kernel + p * centred(operation.kernel(taps, self.searched))
        rest = self.rank - self.searched
        if rest:
            bypass = torch.eye(rest, dtype=kernel.dtype, device=kernel.device).view(rest, rest, 1, 1)
            kernel = functional.pad(kernel, (0, 0, 0, 0, 0, rest, 0, rest))
            kernel = kernel + functional.pad(centred(bypass), (0, 0, 0, 0, self.searched, 0, self.searched, 0))
        return kernel[self.order]

    def passes(self) -> float:
        """Return which share of a token's own value a new cell of its kind lets through, mean over channels.

        It is below 1 where some operations are ``none`` or pooling.
        """
        share = sum(OPERATIONS[name].passes() for name in self.operations) / len(self.operations)
        return (share * self.searched + self.rank - self.searched) / self.rank

    def forward(self, z: Tensor) -> Tensor:
        """Apply the cell to ``z`` ``(B, r, H, W)``; same shape out, zeros beyond the border."""
        if self.plain:
            return z
        return functional.conv2d(z, self.kernel(), padding=KERNEL_SIDE // 2) + self._not_linear(z)

    def _not_linear(self, z: Tensor) -> Tensor | float:
        """Return the part of the mixture that is no convolution."""
        if self.linear:
            return 0.0
        part = torch.zeros_like(z[:, : self.searched])
        for p, name, taps, on in zip(self.probabilities(), self.operations, self.weights, self.active, strict=True):
            operation = OPERATIONS[name]
            if operation.apply is not None and on:
                part = part + p * operation.apply(taps, z[:, : self.searched])
        return functional.pad(part, (0, 0, 0, 0, 0, self.rank - self.searched))[:, self.order]

    def learned(self) -> list[nn.Parameter]:
        """Return the operation weights that are trained."""
        return [taps for taps in self.weights if taps.numel()]

    def balance(self) -> float:
        """Return its own term of the loss: none."""
        return 0.0

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
