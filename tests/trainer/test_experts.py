from __future__ import annotations

import torch
from torch.nn import functional

from naslora_trainer.experts import SCALES, ExpertsCell

RANK = 3


def test_it_starts_near_the_identity_at_the_first_scale() -> None:
    cell, z = ExpertsCell(RANK).eval(), torch.randn(2, RANK, 7, 7)
    with torch.no_grad():
        torch.testing.assert_close(cell(z), z)  # equal logits: the first expert, scale 1, Dirac


def test_each_map_goes_through_the_expert_that_the_gate_picks() -> None:
    """Differential: the picked expert by hand, with torch's own interpolation."""
    torch.manual_seed(0)
    cell, z = ExpertsCell(RANK).eval(), torch.randn(5, RANK, 6, 6)
    torch.nn.init.normal_(cell.taps)
    torch.nn.init.normal_(cell.gate, std=5)
    with torch.no_grad():
        out = cell(z)
        picked = (z.mean((2, 3)) @ cell.gate).argmax(1).tolist()
        assert len(set(picked)) > 1
        for i, expert in enumerate(picked):
            large = functional.interpolate(z[i : i + 1], size=6 * SCALES[expert], mode="bicubic")
            wanted = functional.interpolate(
                functional.conv2d(large, cell.taps[expert], padding=1), size=6, mode="bicubic"
            )
            torch.testing.assert_close(out[i : i + 1], wanted, atol=1e-4, rtol=1e-4)
    assert abs(sum(cell.summary().values()) - 1) < 1e-6


def test_the_balance_loss_wants_equally_busy_experts() -> None:
    cell = ExpertsCell(RANK).eval()  # without noise every map goes to the same expert
    cell(torch.ones(len(SCALES), RANK, 4, 4))
    assert float(torch.as_tensor(cell.balance()).detach()) > 1


def test_the_gate_learns_from_the_answers() -> None:
    cell = ExpertsCell(RANK)
    cell(torch.randn(3, RANK, 4, 4)).square().sum().backward()
    assert cell.gate.grad is not None and cell.gate.grad.abs().sum() > 0
