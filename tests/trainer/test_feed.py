from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage
from naslora_trainer.errors import UserError
from naslora_trainer.feed import Feed
from naslora_trainer.gradients import Sample
from naslora_trainer.splits import split_images


@pytest.fixture
def images(nuclei: list[TrainingImage]) -> list[TrainingImage]:
    """Seven images: five train, two validate (see naslora_trainer.splits)."""
    return [replace(nuclei[i % 4], name=f"image{i}") for i in range(7)]


def feed(images: list[TrainingImage], **values: object) -> Feed:
    return Feed(FineTuneConfig.checked(prompts_per_step=2, **values), split_images(images), 256)


def names(samples: list[Sample]) -> list[str]:
    return [sample.image.name for sample in samples]


@pytest.mark.parametrize("cycle", [1, 3])
@pytest.mark.parametrize("together", [1, 2])
def test_what_searches_was_held_back_from_the_weights_since_the_last_search(
    images: list[TrainingImage], cycle: int, together: int
) -> None:
    drawn, searched = feed(images, images_per_step=together), []
    train, validation = (
        {image.name for image in part} for part in (split_images(images).train, split_images(images).validation)
    )
    trained = Counter(name for _ in range(8) for name in names(drawn.samples()))
    assert set(trained) == train and not train & validation
    for _ in range(10):
        seen = {name for _ in range(cycle) for name in names(drawn.samples(hold_back=True))}
        found = names(drawn.search_samples())
        assert len(found) == together and not seen & set(found) and seen <= train
        searched += sorted(set(found))
    assert set(Counter(searched).values()) == {2}
    assert {image.name for image in drawn.training_images()} == train


def test_one_image_alone_searches_and_trains(nuclei: list[TrainingImage]) -> None:
    drawn = feed(nuclei[:1])
    assert names(drawn.samples(hold_back=True)) == names(drawn.search_samples()) == [nuclei[0].name]


def test_every_image_comes_equally_often(images: list[TrainingImage]) -> None:
    count, drawn = len(split_images(images).train), feed(images)
    assert set(Counter(name for _ in range(6 * count) for name in names(drawn.samples())).values()) == {6}
    assert len(feed(images, images_per_step=3).samples()) == 3


def test_it_goes_on_from_its_state(images: list[TrainingImage]) -> None:
    one, two = feed(images), feed(images, seed=9)
    for _ in range(7):
        one.samples(hold_back=True)
    one.search_samples()
    one.samples(hold_back=True)
    two.restore(json.loads(json.dumps(one.state())))
    for _ in range(9):
        (a,), (b,) = one.samples(hold_back=True), two.samples(hold_back=True)
        assert (a.image.name, a.turn, a.plan.first.clicks) == (b.image.name, b.turn, b.plan.first.clicks)


def test_objects_too_small_to_see_are_an_error() -> None:
    labels = np.zeros((1000, 1000), np.int32)
    labels[5, 5], labels[500, 500] = 1, 2
    images = [TrainingImage("a", np.zeros((1000, 1000, 3), np.uint8), labels, True)]
    with pytest.raises(UserError, match="too small"):
        feed(images)
