"""A model that is asked about the same images for several reasons: it answers as if it saw each anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam
from torch import Tensor

from naslora_trainer.cache import PrefixCache
from naslora_trainer.data import TrainingImage
from naslora_trainer.evaluate import evaluate
from naslora_trainer.examinee import Examinee
from naslora_trainer.sights import cases, sights


@pytest.fixture
def encoded(small_sam: Sam) -> list[tuple[int, ...]]:
    """The shapes of what was encoded."""
    shapes: list[tuple[int, ...]] = []

    def note(_: object, given: tuple[Tensor, ...], __: object) -> None:
        shapes.append(tuple(given[0].shape))

    small_sam.image_encoder.register_forward_hook(note)
    return shapes


def test_it_sees_what_the_predictor_sees(small_sam: Sam) -> None:
    rng = np.random.default_rng(0)
    for shape in ((60, 90), (128, 128), (200, 31)):
        image = TrainingImage("x", rng.integers(0, 256, (*shape, 3), np.uint8), np.zeros(shape, np.int32))
        fresh, found = SamPredictor(small_sam), Examinee(small_sam, ()).look(image)
        fresh.set_image(image.image)
        assert torch.equal(found.features, fresh.features)
        assert (found.original_size, found.input_size) == (fresh.original_size, fresh.input_size)
        points, labels = np.array([[20.0, 15.0]]), np.array([1])
        for one, other in zip(found.predict(points, labels), fresh.predict(points, labels), strict=True):
            np.testing.assert_array_equal(one, other)


def test_each_image_is_encoded_once(
    small_sam: Sam, nuclei: list[TrainingImage], encoded: list[tuple[int, ...]]
) -> None:
    seen = PrefixCache(10**9)
    model = Examinee(small_sam, ("point", "box"), seen)
    first = evaluate(model, nuclei[:2], max_objects=1)
    worst = [{"name": nuclei[0].name, "object": int(nuclei[0].labels.max()), "prompt": p} for p in ("click", "box")]
    shown = cases(model, model, worst, nuclei)
    assert sights(model, nuclei[:2]) == sights(Examinee(small_sam, ("point", "box"), seen), nuclei[:2])
    assert len(encoded) == 2

    forgets = Examinee(small_sam, ("point", "box"), PrefixCache(0))
    assert evaluate(forgets, nuclei[:2], max_objects=1) == first and cases(forgets, forgets, worst, nuclei) == shown
    assert len(encoded) == 2 + 2 + 4


def test_other_pixels_under_the_same_name_are_another_image(small_sam: Sam, nuclei: list[TrainingImage]) -> None:
    model = Examinee(small_sam, ())
    other = replace(nuclei[1], name=nuclei[0].name)
    assert not torch.equal(model.embedding(nuclei[0]), model.embedding(other))
    assert torch.equal(model.embedding(other), model.embedding(nuclei[1]))
