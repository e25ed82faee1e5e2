"""How sure the model is of an image, and in which order images are proposed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from naslora_napari.live import LivePredictor
from naslora_napari.live.doubt import Doubt, doubt_of, ranked
from naslora_napari.live.kept_doubts import KeptDoubts
from naslora_napari.store.records import ImageEntry
from naslora_trainer.adapter import Adapter
from naslora_trainer.images import read_image
from naslora_trainer.pictures import Picture, picture_of
from naslora_trainer.prompts import Prompts
from naslora_trainer.seed_head import SeedHead, new_head, tensors_of


def a_doubt(value: float, *embedding: float) -> Doubt:
    return Doubt(box=value, jitter=value, unstable=value, unsure=value, clicks=1, embedding=embedding)


def test_images_that_are_the_same_are_not_proposed_in_a_row() -> None:
    doubts = {f"same{k}": a_doubt(0.9 - k / 100, 1.0, 0.0) for k in range(10)}
    doubts |= {"other": a_doubt(0.5, 0.0, 1.0), "third": a_doubt(0.4, -1.0, -1.0)}
    assert ranked(doubts)[:4] == ["same0", "other", "third", "same1"]
    assert ranked(doubts, 2) == ["same0", "other"]
    assert ranked(doubts, 1, chosen=["same3"]) == ["other"]
    assert ranked({}) == []


def test_images_that_are_unlike_go_by_doubt() -> None:
    doubts = {"a": a_doubt(0.2, 0, 0), "b": a_doubt(0.6, 1, 0), "c": a_doubt(0.4, 0.5, 0.875)}
    assert ranked(doubts) == ["b", "c", "a"]


shares = st.floats(0, 1)


@given(st.lists(st.tuples(shares, st.floats(-9, 9), st.floats(-9, 9)), max_size=12))
def test_each_image_is_proposed_once(images: list[tuple[float, float, float]]) -> None:
    doubts = {str(k): a_doubt(*image) for k, image in enumerate(images)}
    order = ranked(doubts)
    assert sorted(order) == sorted(doubts)
    if order:
        assert doubts[order[0]].value == max(doubt.value for doubt in doubts.values())


def test_the_model_doubts_and_remembers_until_image_or_model_change(
    tile: Path, image: np.ndarray, adapter: Adapter, tmp_path: Path
) -> None:
    path = tmp_path / tile.name
    shutil.copy(tile, path)
    entry, opened = ImageEntry("one", path), []

    def open_picture() -> Picture:
        opened.append(path)
        return picture_of(read_image(path)[:96, :128])

    predictor = LivePredictor()
    predictor.load()
    first = KeptDoubts(tmp_path / "doubts").measure(entry, open_picture, predictor)
    assert first.clicks > 0 and 0 < first.value < 1 and len(set(first.parts.values())) > 1 and first.why
    kept = KeptDoubts(tmp_path / "doubts")
    assert kept.measure(entry, open_picture, predictor) == first and len(opened) == 1

    base = predictor.identity
    predictor.swap(adapter)
    assert kept.get(entry, predictor.identity) is None
    other = kept.measure(entry, open_picture, predictor)
    assert other.parts != first.parts and len(opened) == 2

    (damaged, _) = sorted((tmp_path / "doubts").iterdir())
    assert KeptDoubts(tmp_path / "doubts").get(entry, base) == first
    for content in ("{", '{"box": 7}', damaged.read_text().replace('"clicks":', '"clicks":-')):
        for file in (tmp_path / "doubts").iterdir():
            file.write_text(content)
        assert KeptDoubts(tmp_path / "doubts").get(entry, base) is None
    path.write_bytes(path.read_bytes() + b"\0")
    assert kept.get(entry, base) is None
    path.unlink()
    assert kept.get(entry, base) is None


def test_a_model_that_knows_boxes_only_is_asked_boxes(image: np.ndarray) -> None:
    predictor = LivePredictor("litemedsam")
    predictor.load()
    doubt = doubt_of(predictor.look(picture_of(image[:64, :100])), grid=1)
    assert doubt.clicks == 1 and 0 < doubt.value < 1


class Says(SeedHead):
    """A head that finds one square, with the same probability everywhere in it, and the clear background."""

    def __init__(self, probability: float, elsewhere: float = 0.01) -> None:
        super().__init__()
        probable = torch.full((1, 3, 256, 256), elsewhere)
        probable[..., 40:80, 60:100] = probability
        self.logits = torch.logit(probable)

    def forward(self, embedding: Tensor, picture: Tensor) -> Tensor:
        return self.logits


def test_a_model_that_finds_objects_is_asked_about_those(image: np.ndarray, adapter: Adapter) -> None:
    predictor = LivePredictor()
    predictor.load()
    head = new_head(0, ("cell", "debris"))
    meta = adapter.meta.model_copy(update={"classes": head.classes})
    predictor.swap(Adapter(adapter.tensors | tensors_of(head), meta))
    look = predictor.look(picture_of(image[:96, :128]))
    assert look.head is not None and look.rgb is not None and look.rgb.shape == (96, 128, 3)
    assert set(doubt_of(look).parts) >= {"seeds"}

    sure, torn = (doubt_of(replace(look, head=Says(probability))) for probability in (0.99, 0.6))
    assert set(sure.parts) == set(torn.parts) == {"seeds", "unconfirmed", "unsure"} and sure.clicks == 1
    assert sure.seeds == pytest.approx(0.0808, abs=1e-3) and torn.seeds == pytest.approx(0.971, abs=1e-3)
    assert sure.value < torn.value
    empty = doubt_of(replace(look, head=Says(0.01)))
    assert (empty.clicks, empty.parts) == (0, {"seeds": 0}) and empty.why
    assert doubt_of(replace(look, head=Says(0.99), one_object=True)).clicks == 1
    boxes = doubt_of(replace(look, head=Says(0.99), learned=("box",)))
    assert boxes.unsure != sure.unsure and boxes.clicks == 1

    answered = predictor.predict_on(picture_of(image[:96, :128]), Prompts(box=(10.0, 20.0, 50.0, 60.0)))
    confirmed = torch.from_numpy(answered.low_res[0] > 0)
    knows = Says(0.99)
    knows.logits = torch.where(confirmed, 4.6, -4.6).expand(1, 3, 256, 256)
    assert doubt_of(replace(look, head=knows)).unconfirmed < sure.unconfirmed


def test_hostile_doubts_are_refused() -> None:
    with pytest.raises(ValueError):
        a_doubt(float("nan"), 0.0)
    with pytest.raises(ValueError):
        a_doubt(0.5, float("inf"))
    with pytest.raises(ValueError):
        Doubt(clicks=0, embedding=(0.0,))
