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

DICE = st.floats(0, 1)


@given(st.lists(st.tuples(DICE, DICE), min_size=len(SHARES), max_size=len(SHARES)))
def test_no_share_is_better_by_more_than_a_trifle(scores: list[tuple[float, float]]) -> None:
    dice = {share: {"click": click, "box": box} for share, (click, box) in zip(SHARES, scores, strict=True)}
    means = {share: (one["click"] + one["box"]) / 2 for share, one in dice.items()}
    chosen = best_share(dice)
    assert means[chosen] >= max(means.values()) - 0.0021
    assert all(means[share] < max(means.values()) - 0.0019 for share in SHARES if share > chosen)


def test_of_equals_the_one_that_learned_most_is_taken() -> None:
    assert best_share({share: {"click": 0.7, "box": 0.8} for share in SHARES}) == 1
    assert best_share({1.0: {"click": 0.5, "box": 0.9}, 0.5: {"click": 0.8, "box": 0.8}}) == 0.5


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
