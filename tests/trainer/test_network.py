"""The network in training answers as the model that it becomes, and computes its frozen beginning once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage
from naslora_trainer.examinee import Examinee
from naslora_trainer.network import TrainableSam


@pytest.mark.parametrize("method", ["nas-lora", "decoder-only"])
def test_what_is_measured_is_to_the_bit_what_the_model_sees(method: str, nuclei: list[TrainingImage]) -> None:
    network = TrainableSam(FineTuneConfig.checked(method=method, blocks=1), "cpu")
    begun: list[tuple[int, ...]] = []

    def note(_: object, given: tuple[Tensor, ...], __: object) -> None:
        begun.append(tuple(given[0].shape))

    network.sam.image_encoder.patch_embed.register_forward_hook(note)
    quick = [Examinee(network.sam, (), encode=network.encode) for _ in range(2)]
    seen = [model.embedding(nuclei[0]) for model in quick]
    assert len(begun) == 1
    with torch.no_grad():
        for layer in network.layers.values():
            layer.up.fill_(0.01)
    seen.append(Examinee(network.sam, (), encode=network.encode).embedding(nuclei[0]))
    assert len(begun) == 1
    whole = Examinee(network.sam, ()).embedding(nuclei[0])
    assert len(begun) == 2 and torch.equal(seen[2], whole)
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[0], whole) == (method == "decoder-only")
