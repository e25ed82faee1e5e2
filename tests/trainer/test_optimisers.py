"""A training whose loss is not finite any more ends with what it had, also after an interruption."""

from __future__ import annotations

import pytest
import torch

from naslora_trainer.config import FineTuneConfig
from naslora_trainer.distributed import World
from naslora_trainer.errors import UserError
from naslora_trainer.gradients import Gradients
from naslora_trainer.network import TrainableSam
from naslora_trainer.optimisers import MOST_SKIPPED, Optimisers


def test_it_gives_up_with_what_a_checkpoint_kept() -> None:
    config = FineTuneConfig.checked(blocks=1, rank=2, cache_mb=0)
    network = TrainableSam(config, "cpu")
    told: list[str] = []

    def begun() -> Optimisers:
        gradients = Gradients(network, World.joined("cpu"), torch.float32, told.append)
        return Optimisers(config, network, gradients, told.append)

    first = begun()
    first.skipped = MOST_SKIPPED
    with pytest.raises(UserError, match="never finite"):
        first.gives_up(3)
    first.keep()
    good, state = network.tensors(), first.state()
    with torch.no_grad():
        for parameter in network.decoder_parameters():
            parameter.fill_(torch.nan)
    later = begun()
    later.load(state)
    assert not later.gives_up(4)
    later.skipped = MOST_SKIPPED
    assert later.gives_up(4) and "ended after step 4" in told[-1]
    assert all(torch.equal(tensor, good[name]) for name, tensor in network.tensors().items())
