"""The head that finds objects: its targets say nothing of what nobody labelled, its training touches nothing else."""

from __future__ import annotations

import copy
import dataclasses
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.torch import save_file
from segment_anything.modeling import Sam

from naslora_trainer.adapter import Adapter
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.continuing import compose
from naslora_trainer.data import TrainingImage, one_object_each, some_background
from naslora_trainer.errors import UserError
from naslora_trainer.frames import framed
from naslora_trainer.merging import apply, merge
from naslora_trainer.seed_head import PREFIX, head_of, new_head, probabilities, tensors_of
from naslora_trainer.seed_targets import RING, distances, seed_targets
from naslora_trainer.seed_training import View, calibrate, classes_in, train_head
from naslora_trainer.train import finetune

from ..conftest import PRECISION

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)
LABELS = hnp.arrays(np.int32, SHAPES, elements=st.integers(0, 4))


def an_image(labels: np.ndarray, complete: bool = False, **more: object) -> TrainingImage:
    return TrainingImage("x", np.zeros((*labels.shape, 3), np.uint8), labels, complete, **more)


def disk(complete: bool = False, **more: object) -> TrainingImage:
    """A disk of radius 20 in 256 x 256 pixels."""
    rows, cols = np.mgrid[:256, :256]
    labels = ((rows - 100) ** 2 + (cols - 100) ** 2 <= 400).astype(np.int32)
    return an_image(labels, complete, **more)


@given(LABELS)
def test_distances_are_normalised_for_each_object(labels: np.ndarray) -> None:
    middle, edge = distances(labels)
    for values in (middle, edge):
        assert ((values >= 0) & (values <= 1)).all() and not values[labels == 0].any()
    for number in np.unique(labels[labels > 0]):
        own = labels == number
        assert edge[own].max() == 1 and middle[own].max() == 1
        assert edge[own][np.argmax(middle[own])] == 1  # the middle lies deepest inside
        assert (edge[own] > 0).all()


@given(LABELS, st.integers(0, 7), st.booleans())
def test_targets_turn_with_the_image(labels: np.ndarray, turn: int, complete: bool) -> None:
    found = seed_targets(an_image(labels, complete), turn, 256)
    assert found.maps.shape == (3, 256, 256) and found.counts.shape == (256, 256)
    assert found.counts[found.maps[0] > 0].all()
    assert (found.maps[1:, found.maps[0] == 0] == 0).all()
    assert (found.maps[0] > 0).any() == (labels > 0).any()


def test_an_unlabelled_pixel_counts_only_where_all_is_labelled() -> None:
    sparse = seed_targets(disk(), 0, 256)
    outside = sparse.counts & (sparse.maps[0] == 0)
    rows, cols = np.nonzero(outside)
    away = np.hypot(rows - 100, cols - 100)
    assert 0 < away.max() <= 20 + RING + 1 and not sparse.counts[200:, 200:].any()
    assert seed_targets(disk(True), 0, 256).counts.all()
    region = seed_targets(disk(rois=((200, 210, 230, 250),)), 0, 256)
    assert region.counts[200:230, 210:250].all()
    assert region.counts.sum() == sparse.counts.sum() + 30 * 40


def test_where_a_person_said_that_nothing_is_counts() -> None:
    nothing = np.zeros((256, 256), bool)
    nothing[200:205, 210:215] = True
    sparse, told = seed_targets(disk(), 0, 256), seed_targets(disk(nothing=nothing), 0, 256)
    assert np.array_equal(told.counts, sparse.counts | nothing) and np.array_equal(told.maps, sparse.maps)


def test_pixels_beyond_the_image_never_count() -> None:
    image = an_image(np.ones((128, 64), np.int32), True)
    counts = seed_targets(image, 0, 256).counts
    assert counts[:, :128].all() and not counts[:, 128:].any()


def test_it_learns_to_find_disks_from_some_of_them() -> None:
    """Half of the disks are labelled; the other half is found all the same, since it is never called background."""
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[:256, :256]
    middles = [(r, c) for r in range(32, 256, 64) for c in range(32, 256, 64)]
    labels, all_disks = np.zeros((2, 256, 256), np.int32)
    for number, (r, c) in enumerate(middles, start=1):
        inside = (rows - r) ** 2 + (cols - c) ** 2 < 16**2
        all_disks[inside] = number
        labels[inside] = number if number % 2 else 0
    grey = (all_disks > 0) * 200 + rng.integers(0, 30, (256, 256))
    image = TrainingImage("x", np.repeat(grey.astype(np.uint8)[..., None], 3, 2), labels)
    picture = torch.from_numpy(image.image).permute(2, 0, 1)[None] / 127.0 - 1
    embedding = torch.zeros(1, 256, 64, 64)
    before = torch.get_rng_state()
    head = train_head([image], lambda image, turn: (embedding, _turned(picture, turn)), 256, 12, 0)
    assert head is not None and torch.equal(torch.get_rng_state(), before)
    found = head(embedding, picture)[0, 0] > 0
    overlap = (found.numpy() & (all_disks > 0)).sum() / (all_disks > 0).sum()
    assert overlap > 0.95
    again = train_head([image], lambda image, turn: (embedding, _turned(picture, turn)), 256, 12, 0)
    assert again is not None
    for name, tensor in tensors_of(head).items():
        assert torch.equal(tensors_of(again)[name], tensor), name


def disks_of_two_classes() -> TrainingImage:
    """Bright and dark disks on grey; each third one is labelled."""
    rows, cols = np.mgrid[:256, :256]
    grey, labels = np.full((256, 256), 120, np.uint8), np.zeros((256, 256), np.int32)
    classes = {}
    for number, (r, c) in enumerate([(r, c) for r in range(32, 256, 64) for c in range(32, 256, 64)], start=1):
        inside = (rows - r) ** 2 + (cols - c) ** 2 < 16**2
        grey[inside] = 230 if number % 2 else 20
        if number % 3 == 0:
            labels[inside], classes[number] = number, "bright" if number % 2 else "dark"
    return TrainingImage("x", np.repeat(grey[..., None], 3, 2), labels, classes=classes)


def test_it_learns_classes_from_those_that_are_labelled() -> None:
    image = disks_of_two_classes()
    picture = torch.from_numpy(image.image).permute(2, 0, 1)[None] / 127.0 - 1
    embedding = torch.zeros(1, 256, 64, 64)
    head = train_head([image], lambda image, turn: (embedding, _turned(picture, turn)), 256, 12, 0)
    assert head is not None and head.classes == ("bright", "dark")
    told = probabilities(head(embedding, picture))[0].detach().numpy()
    assert told.shape == (5, 256, 256) and np.allclose(told[3:].sum(axis=0), 1, atol=1e-5)
    for value, place in ((230, 3), (20, 4)):
        assert (told[place][image.image[..., 0] == value] > 0.5).mean() > 0.95
    again = head_of(tensors_of(head), head.classes)
    assert again is not None and torch.equal(again(embedding, picture), head(embedding, picture))
    for classes in ((), ("a", "b", "c")):
        with pytest.raises(UserError, match="another kind"):
            head_of(tensors_of(head), classes)


@given(LABELS, st.integers(0, 7))
def test_only_labelled_objects_of_a_class_count(labels: np.ndarray, turn: int) -> None:
    image = an_image(labels, True, classes={1: "b", 2: "a", 3: "unknown", 9: "a"})
    found = seed_targets(image, turn, 256, ("a", "b")).classes
    for number, keys in ((0, (0, 3, 4)), (1, (2,)), (2, (1,))):
        here = np.isin(framed(labels, turn, 256), keys) | (framed(labels, turn, 256) < 0) * (number == 0)
        assert np.array_equal(found == number, here)


def test_one_class_is_none() -> None:
    image = disks_of_two_classes()
    assert classes_in([image]) == ("bright", "dark")
    assert classes_in([image, dataclasses.replace(image, class_order=("dark", "unused"))]) == ("dark", "bright")
    bright = {key: name for key, name in image.classes.items() if name == "bright"}
    assert classes_in([dataclasses.replace(image, classes=bright)]) == ()
    none = np.zeros_like(image.labels)
    assert classes_in([dataclasses.replace(image, labels=none)]) == ()
    assert [p.shape for p in new_head(0).parameters()] == [p.shape for p in new_head(0, ()).parameters()]


WRONG_CLASSES = [
    ["a", "a"],
    ["a"],
    ["a", ""],
    ["a", "x" * 201],
    ["a", 3],
    [str(i) for i in range(256)],
    ["a", "\ud800"],
]


@pytest.mark.parametrize("classes", WRONG_CLASSES)
def test_classes_of_a_foreign_file_are_checked(classes: list[str], random_adapter: Adapter, tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    random_adapter.save(path)
    meta = json.loads(random_adapter.meta.model_dump_json()) | {"classes": classes}
    save_file(dict(random_adapter.tensors), path, metadata={"naslora": json.dumps(meta)})
    with pytest.raises(UserError, match="not a naslora-napari adapter"):
        Adapter.load(path)


def _turned(picture: torch.Tensor, turn: int) -> torch.Tensor:
    """As :func:`naslora_trainer.frames.turned`, for channels first."""
    if turn >= 4:
        picture = picture.transpose(2, 3)
    return torch.rot90(picture, turn % 4, (2, 3))


def with_head(adapter: Adapter, seed: int) -> Adapter:
    return dataclasses.replace(adapter, tensors=adapter.tensors | tensors_of(new_head(seed)))


@torch.no_grad()
def test_the_threshold_that_fits_the_labels_becomes_one_half() -> None:
    torch.manual_seed(0)
    head, embedding = new_head(0).requires_grad_(False), torch.randn(256, 64, 64).bfloat16()
    picture = torch.randn(3, 256, 256).bfloat16()
    before = head(embedding[None].float(), picture[None].float())[0, 0].sigmoid()
    head.shift(float(torch.logit(torch.tensor(0.8)) - before.quantile(0.9).logit()))  # a tenth is above 0.8
    drawn = head(embedding[None].float(), picture[None].float())[0].sigmoid()
    inside = drawn[0] >= 0.8
    maps = torch.stack([inside.float(), drawn[1], drawn[2]])
    counts = torch.ones(256, 256, dtype=torch.bool)
    calibrate(head, [View(embedding, picture, maps, counts, torch.zeros(256, 256, dtype=torch.uint8))])
    after = head(embedding[None].float(), picture[None].float())[0].sigmoid()
    assert ((after[0] >= 0.5) == inside).float().mean() > 0.999 and torch.equal(after[1:], drawn[1:])


def test_background_is_known_of_complete_images_and_areas() -> None:
    assert not some_background([disk(), disk()])
    assert some_background([disk(), disk(True)]) and some_background([disk(rois=((0, 0, 9, 9),))])


def test_one_object_each_is_no_chance_and_not_half_labelled() -> None:
    images = [disk(complete=True)] * 4
    assert one_object_each(images) and not one_object_each(images[:3])
    assert not one_object_each([*images, disk()])
    two = np.zeros((256, 256), np.int32)
    two[:5, :5], two[50:60, 50:60] = 1, 2
    assert not one_object_each([*images, an_image(two, True)])


def test_a_file_holds_it_and_a_merged_model_does_not(random_adapter: Adapter, base_sam: Sam, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    random_adapter.save(path)
    assert head_of(Adapter.load(path).tensors) is None
    both = with_head(random_adapter, 3)
    both.save(path)
    head = head_of(Adapter.load(path).tensors)
    assert head is not None
    embedding, picture = torch.rand(1, 256, 64, 64), torch.rand(1, 3, 256, 256)
    assert torch.equal(head(embedding, picture), new_head(3)(embedding, picture))
    base = base_sam.state_dict()
    plain, merged = merge(random_adapter, base), merge(both, base)
    assert plain.keys() == merged.keys() and all(torch.equal(plain[name], merged[name]) for name in plain)
    apply(copy.deepcopy(base_sam), both)


def test_an_old_file_is_read(random_adapter: Adapter, tmp_path: Path) -> None:
    old = dataclasses.replace(random_adapter, meta=random_adapter.meta.model_copy(update={"version": 1}))
    old.save(tmp_path / "old.safetensors")
    assert Adapter.load(tmp_path / "old.safetensors").meta.version == 1


def test_a_head_of_another_kind_is_refused(random_adapter: Adapter) -> None:
    tensors = tensors_of(new_head(0))
    name = next(iter(tensors))
    for wrong in ({**tensors, name: torch.zeros(3)}, {k: t for k, t in tensors.items() if k != name}):
        with pytest.raises(UserError, match="another kind"):
            head_of(random_adapter.tensors | wrong)


def test_two_adapters_have_the_newer_head(random_adapter: Adapter) -> None:
    first, second = with_head(random_adapter, 1), with_head(random_adapter, 2)
    wanted = tensors_of(new_head(2))
    found = compose(first, second).tensors
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    assert not any(name.startswith(PREFIX) for name in compose(first, random_adapter).tensors)


def test_a_fine_tune_that_was_stopped_gives_the_same_head(nuclei: list[TrainingImage], tmp_path: Path) -> None:
    config = FineTuneConfig.checked(
        method="decoder-only",
        steps=5,
        prompts_per_step=1,
        shown_images=0,
        interpolate=False,
        cache_mb=0,
        precision=PRECISION,
    )
    tune = partial(finetune, config, nuclei[:2], scratch=tmp_path / "features")
    path, stages = tmp_path / "checkpoint", []
    stopped = tune(lambda e: stages.append(e.get("stage")), lambda: "seeds" in stages, checkpoint=path)
    assert stopped is None and path.exists() and stages[-1] == "seeds"
    again, whole = tune(checkpoint=path), tune()
    assert again is not None and whole is not None and head_of(whole.tensors) is not None
    assert again.id == whole.id
