"""How much of what was learned is kept."""

from __future__ import annotations

from operator import attrgetter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from segment_anything.modeling import Sam

from naslora_trainer.config import FineTuneConfig
from naslora_trainer.interpolation import SHARES, best_share
from naslora_trainer.network import TrainableSam
from naslora_trainer.verdict import Each, paired


def of(*dice: float, box: float = 0.8) -> Each:
    """One click and one box on each of some objects."""
    return {("a", key, kind): value for key, one in enumerate(dice) for kind, value in (("click", one), ("box", box))}


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=len(SHARES), max_size=len(SHARES)))
def test_what_is_kept_loses_nowhere(scores: list[list[float]]) -> None:
    each = {share: of(*dice) for share, dice in zip(SHARES, scores, strict=True)}
    chosen = each[best_share(each)]
    assert paired("click", each[0.0], chosen).outcome != "worse"
    assert paired("box", each[0.0], chosen).outcome != "worse"


def test_of_equals_the_one_that_learned_most_is_kept() -> None:
    assert best_share({share: of(0.7, 0.8) for share in SHARES}) == 1
    assert best_share({1.0: of(0.71, 0.69), 0.5: of(0.7, 0.72), 0.0: of(0.7, 0.7)}) == 1


def test_clearly_better_is_better() -> None:
    assert best_share({1.0: of(0.60, 0.70), 0.5: of(0.80, 0.91), 0.0: of(0.5, 0.6)}) == 0.5
    assert best_share({1.0: of(0.7), 0.5: of(0.9), 0.0: of(0.6)}) == 0.5


def test_a_gain_in_boxes_does_not_make_up_for_a_loss_in_clicks() -> None:
    assert best_share({1.0: of(0.6, 0.6, box=0.99), 0.5: of(0.72, 0.71), 0.0: of(0.7, 0.7)}) == 0.5


def test_a_start_that_knows_no_clicks_is_no_choice() -> None:
    each = {1.0: of(0.71, 0.72, box=0.73), 0.25: of(0.62, 0.62, box=0.78), 0.0: of(0.04, 0.04, box=0.82)}
    assert best_share(each) == 0
    assert best_share(each, start_clicks=False) == 1


@pytest.mark.parametrize("decoder", ["full", "lora"])
def test_a_share_scales_what_was_learned(decoder: str, base_sam: Sam) -> None:
    network = TrainableSam(FineTuneConfig.checked(decoder=decoder, blocks=1, cache_mb=0), "cpu")
    with torch.no_grad():
        for parameter in (*network.projection_parameters(), *network.decoder_parameters()):
            parameter += 0.01 * torch.rand_like(parameter)
    learned, all_of_it = network.state(), network.tensors()
    for share in SHARES:
        network.load(learned, share)
        for name, tensor in network.tensors().items():
            scaled = name.startswith("decoder.") or name.endswith(".up")
            torch.testing.assert_close(tensor, all_of_it[name] * (share if scaled else 1), atol=1e-6, rtol=1e-5)
    for name, weight in base_sam.mask_decoder.named_parameters():  # at the last share, 0
        assert torch.equal(attrgetter(name)(network.sam.mask_decoder), weight)
    network.load(learned)
    assert all(torch.equal(tensor, all_of_it[name]) for name, tensor in network.tensors().items())
