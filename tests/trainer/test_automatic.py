"""How well a head finds objects by itself: measured where every object is labelled, and nowhere else."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything.modeling import Sam
from torch import Tensor

from naslora_trainer import gate as gate_module
from naslora_trainer.adapter import Adapter
from naslora_trainer.automatic import automatic_f1
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage
from naslora_trainer.examinee import Examinee
from naslora_trainer.gate import Gate
from naslora_trainer.instances import instances_of
from naslora_trainer.models import build
from naslora_trainer.seed_head import SeedHead, new_head, tensors_of
from naslora_trainer.seed_targets import seed_targets
from naslora_trainer.splits import split_images

SIDE = 128


class Knows(SeedHead):
    """A head that says what the labels of one image say, at the resolution of its maps."""

    def __init__(self, image: TrainingImage) -> None:
        super().__init__()
        self.maps = torch.from_numpy(seed_targets(image, 0, SIDE).maps)[None]

    def forward(self, embedding: Tensor, picture: Tensor) -> Tensor:
        return torch.logit(self.maps, eps=1e-4)


@pytest.fixture
def image() -> TrainingImage:
    """Two squares and a third that is not labelled in the same way everywhere."""
    labels = np.zeros((60, 90), np.int32)
    labels[5:20, 5:20], labels[30:50, 10:30], labels[10:30, 60:80] = 7, 2, 40
    return TrainingImage("x", np.zeros((60, 90, 3), np.uint8), labels, True)


def test_objects_count_where_all_are_labelled(image: TrainingImage, small_sam: Sam) -> None:
    def f1(images: list[TrainingImage], one_object: bool) -> float:
        pairs = [(image, image.known) for image in images]
        return automatic_f1(Examinee(small_sam, ()), Knows(image), pairs, one_object)

    assert f1([image], False) == 1
    fewer = replace(image, labels=np.where(image.labels == 40, 0, image.labels))
    assert f1([fewer], False) == pytest.approx(4 / 5)  # the third is wrong
    one = replace(image, labels=(image.labels > 0).astype(np.int32))
    assert f1([one], True) == 1 and f1([one], False) < 0.5
    assert len(instances_of(np.zeros((3, 20, 20)), True).seeds) == 0
    left = replace(fewer, complete=False, rois=((0, 0, 60, 45),))
    assert f1([left], False) == 1  # nothing is known of it
    assert f1([fewer, left], False) == pytest.approx(8 / 9)


def test_objects_that_train_are_neither_right_nor_wrong(image: TrainingImage, small_sam: Sam) -> None:
    """Of an image whose objects are in both parts, what is found is judged around those that judge."""
    more = np.zeros((60, 90), np.int32)
    for number, (row, col) in enumerate(itertools.product(range(2, 50, 14), range(2, 80, 14)), start=1):
        more[row : row + 8, col : col + 8] = number
    whole = replace(image, labels=more)
    split = split_images([whole])
    assert (split.judged[0] & (more > 0)).sum() == (split.validation[0].labels > 0).sum()
    model, pairs = Examinee(small_sam, ()), list(zip(split.validation, split.judged, strict=True))
    assert automatic_f1(model, Knows(whole), pairs, False) == 1
    held = np.unique(split.validation[0].labels)[1:]
    blind = replace(whole, labels=np.where(more == held[0], 0, more))
    assert automatic_f1(model, Knows(blind), pairs, False) == pytest.approx(2 * (n := len(held) - 1) / (2 * n + 1))
    assert not split_images([replace(whole, complete=False)]).judged[0].any()


def test_the_gate_compares_what_there_is(
    nuclei: list[TrainingImage],
    image: TrainingImage,
    small_sam: Sam,
    random_adapter: Adapter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = FineTuneConfig.checked(base=random_adapter.meta.base)
    model = Examinee(small_sam, ())
    alone = Gate(config, [image], "cpu").automatic(model, Knows(image), False)
    assert alone is not None and (alone.before, alone.after, alone.outcome) == (None, 1, "better")
    assert Gate(config, [image], "cpu").automatic(model, None, False) is None
    some = replace(image, complete=False)
    assert Gate(config, [some], "cpu").automatic(model, Knows(image), False) is None

    head = new_head(3, ("cell", "debris"))
    meta = random_adapter.meta.model_copy(update={"classes": head.classes})
    live = Adapter(random_adapter.tensors | tensors_of(head), meta)
    live.save(tmp_path / "live.safetensors")
    gate_config = config.model_copy(update={"compare_with": str(tmp_path / "live.safetensors")})
    gate = Gate(gate_config, nuclei[:1], "cpu")
    found = gate.automatic(Examinee(build(config.base, live), ()), head, False)
    assert found is not None and found.before == found.after and found.outcome == "no difference"

    built: list[str] = []
    monkeypatch.setattr(gate_module, "build", lambda *given: built.append(given[0]) or build(*given))
    again = Gate(gate_config, nuclei[:1], "cpu")
    before = again.before
    assert again.automatic(Examinee(build(config.base, live), ()), head, False) == found and len(built) == 1
    again.rest()
    assert again.automatic(Examinee(build(config.base, live), ()), head, False) == found and len(built) == 2
    assert again.before == before and len(built) == 2
