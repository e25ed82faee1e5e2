"""The cell of Conv-LoRA: a mixture of convolution experts, each at its own scale, one of them picked by a gate."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Expert i works on the map enlarged i-fold.
SCALES = (1, 2, 3, 4, 5, 6, 7, 8)


class ExpertsCell(nn.Module):
    """``C(z) = G(z)_i E_i(z)``, ``i`` the one expert that the gate picks for a map (Zhong et al. 2024, Conv-LoRA).

    ``E_i`` enlarges the map i-fold, convolves it (3 x 3) and scales it back. The gate is noisy top-1 gating over the
    map's mean (Shazeer et al. 2017), with a loss that keeps the experts equally busy. It depends on the image, so it is
    no convolution: what is folded is its least-squares map.

    Parameters
    ----------
    rank : int
        Channels it acts on.

    Attributes
    ----------
    taps : nn.Parameter
        (experts, r, r, 3, 3), at first the identity.
    gate, noise : nn.Parameter
        (r, experts): logits of the gate and of its noise's standard deviation, at first zero.
    """

    plain = False
    linear = False
    operations = tuple(f"expert_x{scale}" for scale in SCALES)
    uses: Tensor

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.rank = rank
        dirac = nn.init.dirac_(torch.empty(rank, rank, 3, 3))
        self.taps = nn.Parameter(dirac.repeat(len(SCALES), 1, 1, 1, 1))
        self.gate = nn.Parameter(torch.zeros(rank, len(SCALES)))
        self.noise = nn.Parameter(torch.zeros(rank, len(SCALES)))
        self.register_buffer("uses", torch.zeros(len(SCALES)))
        self._balance: Tensor | float = 0.0

    def kernel(self) -> Tensor:
        """Return its linear part, which is zero: (r, r, 1, 1)."""
        return self.taps.new_zeros(self.rank, self.rank, 1, 1)

    def forward(self, z: Tensor) -> Tensor:
        """Apply to ``z`` ``(B, r, H, W)``; same shape out."""
        weights = self._gate(z)
        chosen = weights.argmax(dim=1)
        out = torch.zeros_like(z)
        for index in chosen.unique().tolist():
            maps = (chosen == index).nonzero()[:, 0]
            answer = self._expert(index, z[maps]) * weights[maps, index].view(-1, 1, 1, 1)
            out = out.index_copy(0, maps, answer.to(out.dtype))  # CUDA's autocast computes a softmax in float32
        return out

    def _gate(self, z: Tensor) -> Tensor:
        """Return the weights (B, experts) of the experts, zero but for the picked one; noise in training only."""
        mean = z.mean(dim=(2, 3))
        logits = mean @ self.gate
        noisy = logits
        if self.training and torch.is_grad_enabled():
            noisy = logits + torch.randn_like(logits) * functional.softplus(mean @ self.noise)
        picked = functional.one_hot(noisy.argmax(dim=1), len(SCALES))
        p = noisy.softmax(dim=1)
        # The softmax over the one picked entry is 1; its gradient is that of the softmax over all, or no gate learns.
        weights = (1 + p - p.detach()) * picked
        busy, important = picked.sum(dim=0).to(z), p.sum(dim=0)
        self._balance = _variation(important) + _variation(busy)
        with torch.no_grad():
            self.uses += busy
        return weights

    def _expert(self, index: int, z: Tensor) -> Tensor:
        scale, size = SCALES[index], z.shape[-2:]
        if scale == 1:
            return functional.conv2d(z, self.taps[index], padding=1)
        large = functional.interpolate(z, scale_factor=scale, mode="bicubic", align_corners=False)
        large = functional.conv2d(large, self.taps[index], padding=1)
        return functional.interpolate(large, size=size, mode="bicubic", align_corners=False)

    def learned(self) -> list[nn.Parameter]:
        """Return what is trained beside the projections."""
        return [self.taps, self.gate, self.noise]

    def passes(self) -> float:
        """Return which share of a token's own value a new cell lets through: all of it, whichever the expert."""
        return 1.0

    def balance(self) -> Tensor | float:
        """Return the balance loss of the last call: squared variation of importance and of load, 0 when equal."""
        return self._balance

    def prune(self, threshold: float) -> None:
        """Keep every expert: the gate picks."""

    def summary(self) -> dict[str, float]:
        """Return the share of maps that each expert got."""
        return dict(zip(self.operations, (self.uses / self.uses.sum().clamp_min(1)).tolist(), strict=True))


def _variation(x: Tensor) -> Tensor:
    """Squared coefficient of variation."""
    return x.var(unbiased=False) / (x.mean().square() + 1e-10)
