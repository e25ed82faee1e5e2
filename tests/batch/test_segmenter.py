"""An image in, its objects out: with a head that has seen labels, and without one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest

from naslora_napari.batch import segment_folder
from naslora_napari.batch.segmenter import Segmenter
from naslora_napari.demo.measure import sample_images
from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.adapter import Adapter, AdapterMeta
from naslora_trainer.base import fingerprint
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage, areas_in
from naslora_trainer.matching import match
from naslora_trainer.network import TrainableSam
from naslora_trainer.seed_head import tensors_of
from naslora_trainer.seed_training import train_head


@pytest.fixture(scope="module")
def tile() -> TrainingImage:
    return sample_images("labelled")[0]


def of_sizes(tile: TrainingImage) -> dict[int, str]:
    """The smaller half of the objects is one class, the larger half another."""
    areas = areas_in(tile.labels)
    middle = np.median(list(areas.values()))
    return {key: "large" if area > middle else "small" for key, area in areas.items()}


@pytest.fixture(scope="module")
def model(tile: TrainingImage) -> Segmenter:
    """The default model with a head that has learned one tile by heart."""
    import torch

    network = TrainableSam(FineTuneConfig(method="decoder-only", precision="float32"), "cpu")
    tile = replace(tile, classes=of_sizes(tile))
    head = train_head([tile], lambda image, turn: network.seen(image, turn, torch.float32), 256, 8, 0)
    assert head is not None
    meta = AdapterMeta(
        base=DEFAULT_MODEL, fingerprint=fingerprint(network.sam), method="decoder-only", rank=1, prompts=network.learns,
        classes=head.classes,
    )  # fmt: skip
    return Segmenter(DEFAULT_MODEL, Adapter(tensors_of(head), meta), "cpu")


@pytest.mark.parametrize("quick", [True, False])
def test_what_it_learned_is_found(model: Segmenter, tile: TrainingImage, quick: bool) -> None:
    found = model.segment(tile.image, quick)
    assert found.labels.dtype == np.int32 and found.labels.shape == tile.labels.shape
    assert np.array_equal(np.unique(found.labels), np.arange(len(found.confidence) + 1))
    assert (np.diff(found.confidence) <= 0).all() and ((found.confidence >= 0) & (found.confidence <= 1)).all()
    assert match(found.labels, tile.labels).f1 > 0.6
    assert found.classes is not None and len(found.classes) == len(found.confidence)
    right, names = [], of_sizes(tile)
    for number, told in enumerate(found.classes, start=1):
        under = tile.labels[found.labels == number]
        if (under > 0).mean() > 0.5:
            right.append(names[int(np.bincount(under[under > 0]).argmax())] == model.classes[told - 1])
    assert np.mean(right) > 0.7


def test_a_large_image_is_seen_at_the_zoom_that_was_learned(
    model: Segmenter, tile: TrainingImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.tile(tile.image, (2, 3, 1))
    labels = np.concatenate([tile.labels + i * 1000 * (tile.labels > 0) for i in range(3)], axis=1)
    labels = np.concatenate([labels, labels + 10_000 * (labels > 0)], axis=0)
    monkeypatch.setattr(model, "seen_px", max(tile.labels.shape))
    found = model.segment(image, quick=True)
    assert found.labels.shape == labels.shape and found.labels.max() == len(found.confidence)
    assert found.classes is not None and len(found.classes) == len(found.confidence)
    assert (np.diff(found.confidence) <= 0).all()
    assert match(found.labels, labels).f1 > 0.6


@pytest.mark.parametrize("quick", [True, False])
def test_images_of_one_object_each_get_one(
    model: Segmenter, tile: TrainingImage, monkeypatch: pytest.MonkeyPatch, quick: bool
) -> None:
    monkeypatch.setattr(model, "one_object", True)
    found = model.segment(tile.image, quick)
    assert found.labels.max() == len(found.confidence) == 1
    if quick:  # the mask decoder was not trained on all nuclei as one object
        assert match(found.labels, (tile.labels > 0).astype(np.int32)).f1 == 1
    assert not model._one(np.zeros((3, 256, 256), np.float32), (30, 30), quick).labels.any()


@pytest.mark.parametrize("shape", [(40, 100), (700, 300), (1, 1)])
def test_any_size_is_answered_in_its_own_pixels(model: Segmenter, shape: tuple[int, int]) -> None:
    image = np.zeros((*shape, 3), np.uint8)
    for quick in (True, False):
        found = model.segment(image, quick)
        assert found.labels.shape == shape and len(found.confidence) == found.labels.max()


def test_several_at_once_are_what_each_is_alone(
    model: Segmenter, tile: TrainingImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "seen_px", 64)
    images = [tile.image[:64, :64], tile.image[:40, 5:60], tile.image[:64, :110]]
    alone = list(model.segment_each(images))
    monkeypatch.setattr(model, "batch", 3)
    encoded: list[int] = []
    hook = model.sam.image_encoder.register_forward_pre_hook(lambda _, args: encoded.append(len(args[0])))
    together = list(model.segment_each(images))
    hook.remove()
    assert encoded == [2, 2]  # the third one is in tiles, which are encoded at once as well
    for one, other in zip(alone, together, strict=True):
        assert one.labels.shape == other.labels.shape and (one.labels == other.labels).mean() > 0.999
        assert np.allclose(one.confidence, other.confidence, atol=1e-3)
        assert one.classes is not None and np.array_equal(one.classes, other.classes)


@pytest.mark.parametrize("told", [True, False])
def test_a_folder_is_told_of_a_model_that_guesses_background(model: Segmenter, tmp_path: Path, told: bool) -> None:
    assert model._head is not None
    iio.imwrite(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    meta = AdapterMeta(
        base=DEFAULT_MODEL, fingerprint="0" * 64, method="decoder-only", rank=1, classes=model.classes,
        report={"background": told},
    )  # fmt: skip
    adapter = Adapter(tensors_of(model._head), meta)
    said: list[dict[str, Any]] = []
    segment_folder(tmp_path, tmp_path / "out", adapter, on_event=said.append, should_stop=lambda: True)
    assert [one["event"] for one in said] == ["started", *([] if told else ["warning"]), "result"]
    assert told or "Mark an image as complete" in said[1]["message"]


def test_a_head_alone_changes_no_weight(model: Segmenter) -> None:
    plain = Segmenter(device="cpu")  # that the mask generator then answers is in the tests of folders
    assert model.has_head and not plain.has_head
    weights = plain.sam.state_dict()
    assert all((weights[name] == tensor).all() for name, tensor in model.sam.state_dict().items())
