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
from naslora_trainer.splits import split_images


@pytest.fixture
def images(nuclei: list[TrainingImage]) -> list[TrainingImage]:
    """Six images: four train, one searches, two validate (see naslora_trainer.splits)."""
    return [replace(nuclei[i % 4], name=f"image{i}") for i in range(7)]


def feed(images: list[TrainingImage], **values: object) -> Feed:
    return Feed(FineTuneConfig.checked(prompts_per_step=2, **values), split_images(images), 256)


def names(feed: Feed, count: int, part: str = "train", with_search: bool = False) -> list[str]:
    return [s.image.name for _ in range(count) for s in feed.samples(part, with_search)]  # type: ignore[arg-type]


def test_parts_stay_apart_until_the_search_is_over(images: list[TrainingImage]) -> None:
    split = split_images(images)
    train, search = ({image.name for image in part} for part in (split.train, split.search))
    drawn = feed(images)
    assert set(names(drawn, 20)) == train and set(names(drawn, 5, "search")) == search
    assert set(names(drawn, 30, with_search=True)) == train | search
    assert not {image.name for image in split.validation} & (train | search)
    assert {image.name for image in drawn.training_images()} == train | search


def test_every_image_comes_equally_often(images: list[TrainingImage]) -> None:
    count = len(split_images(images).train)
    assert set(Counter(names(feed(images), 6 * count)).values()) == {6}
    assert len(feed(images, images_per_step=3).samples("train", False)) == 3


def test_it_goes_on_from_its_state(images: list[TrainingImage]) -> None:
    one, two = feed(images), feed(images, seed=9)
    names(one, 7)
    two.restore(json.loads(json.dumps(one.state())))
    for _ in range(9):
        (a,), (b,) = one.samples("train", True), two.samples("train", True)
        assert (a.image.name, a.turn, a.plan.first.clicks) == (b.image.name, b.turn, b.plan.first.clicks)


def test_objects_too_small_to_see_are_an_error() -> None:
    labels = np.zeros((1000, 1000), np.int32)
    labels[5, 5], labels[500, 500] = 1, 2
    images = [TrainingImage("a", np.zeros((1000, 1000, 3), np.uint8), labels, True)]
    with pytest.raises(UserError, match="too small"):
        feed(images)
