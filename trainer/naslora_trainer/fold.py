"""Folding a searched cell into its linear layer (METHOD, section 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .layers import AdaptedLinear

#: Ridge of the least-squares map, relative to the mean energy of a token channel.
RIDGE = 1e-4


@dataclass
class LayerFold:
    """One folded layer.

    Attributes
    ----------
    down : Tensor
        ``We''`` (r x a): with the layer's own ``Wd``, the plain low-rank update that replaces the cell.
    spatial_energy : float
        Share of the cell's output energy that is not pointwise and linear, on the calibration tokens.
    residual : float
        Root of the energy lost by consolidation, relative to the whole cell's output; 0 for a pointwise cell.
    """

    down: Tensor
    spatial_energy: float
    residual: float


def pointwise_part(kernel: Tensor) -> Tensor:
    """Return the centre tap ``K0`` (r x r) of ``kernel`` (r, r, k, k)."""
    centre = kernel.shape[-1] // 2
    return kernel[:, :, centre, centre]


def spatial_part(kernel: Tensor) -> Tensor:
    """Return ``K' = K - centre``, the kernel without its centre tap."""
    remainder = kernel.clone()
    centre = kernel.shape[-1] // 2
    remainder[:, :, centre, centre] = 0
    return remainder


class _Moments:
    """Sums over tokens of one layer: ``x x^T``, ``u x^T`` with ``u = C(z) - K0 z``, ``z = We x``; energies. In float64.

    ``K0`` is the pointwise part of the linear operations; what the others do is all in ``u``.
    """

    def __init__(self, layer: AdaptedLinear) -> None:
        self.layer = layer
        self.pointwise = pointwise_part(layer.cell.kernel().detach())
        rank, width = layer.down.shape
        make = {"dtype": torch.float64, "device": "cpu"}
        self.xx, self.ux = torch.zeros(width, width, **make), torch.zeros(rank, width, **make)  # type: ignore[call-overload]
        self.uu, self.cell_energy, self.count = 0.0, 0.0, 0

    def add(self, x: Tensor) -> None:
        whole = self.layer.spread(x)
        u = (whole - functional.linear(functional.linear(x, self.layer.down), self.pointwise)).flatten(0, -2).double()
        tokens = x.flatten(0, -2).double()
        self.xx += (tokens.T @ tokens).cpu()
        self.ux += (u.T @ tokens).cpu()
        self.uu += float(u.square().sum())
        self.cell_energy += float(whole.double().square().sum())
        self.count += len(tokens)

    def solve(self) -> LayerFold:
        width = len(self.xx)
        ridge = RIDGE * self.xx.diagonal().mean().clamp_min(1e-12) * torch.eye(width, dtype=torch.float64)
        closed_form = torch.linalg.solve(self.xx + ridge, self.ux.T).T
        lost = self.uu - 2 * (closed_form * self.ux).sum() + ((closed_form @ self.xx) * closed_form).sum()
        energy = max(self.cell_energy, 1e-30)
        down = self.pointwise.double().cpu() @ self.layer.down.double().cpu() + closed_form
        return LayerFold(
            down=down.to(self.layer.down),
            spatial_energy=self.uu / energy,
            residual=float(max(float(lost), 0.0) / energy) ** 0.5,
        )


@torch.no_grad()
def consolidate(layers: dict[str, AdaptedLinear], calibrate: Callable[[], None]) -> dict[str, LayerFold]:
    """Find the plain low-rank update nearest to each cell on the person's own tokens.

    ``We' = E[u x^T] (E[x x^T] + lambda I)^-1`` and ``We'' = K0 We + We'`` (METHOD, section 3).

    Parameters
    ----------
    layers : dict
        Adapted layers by path.
    calibrate : callable
        Runs the encoder over the calibration images; the layers' inputs are watched meanwhile.

    Raises
    ------
    ValueError
        No token reached a layer.
    """
    moments = {path: _Moments(layer) for path, layer in layers.items()}
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs, path=path: moments[path].add(inputs[0]))
        for path, layer in layers.items()
    ]
    try:
        calibrate()
    finally:
        for hook in hooks:
            hook.remove()
    if any(m.count == 0 for m in moments.values()):
        raise ValueError("the calibration images did not reach every adapted layer")
    return {path: m.solve() for path, m in moments.items()}
