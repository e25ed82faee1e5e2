from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest

from naslora_napari.live import LivePredictor
from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.adapter import Adapter
from naslora_trainer.errors import UserError
from naslora_trainer.prompts import Prompts, box_of, deepest_point
from naslora_trainer.scores import dice


@pytest.fixture
def predictor(image: np.ndarray) -> LivePredictor:
    made = LivePredictor()
    made.set_image(image)
    return made


def test_it_loads_when_it_is_needed(image: np.ndarray) -> None:
    predictor = LivePredictor()
    assert not predictor.is_ready and predictor.version == DEFAULT_MODEL
    with pytest.raises(RuntimeError, match="no image"):
        predictor.predict(Prompts(box=(0, 0, 9, 9)))
    predictor.set_image(image)
    assert predictor.is_ready and predictor.image_shape == image.shape[:2]


def test_clicks_and_boxes_are_answered(predictor: LivePredictor, nucleus: np.ndarray) -> None:
    place = deepest_point(nucleus)
    click = predictor.predict(Prompts().with_click(place))
    box = predictor.predict(Prompts(box=box_of(nucleus)))
    assert click.mask[place] and len(click.candidates) <= 9 and dice(box.mask, nucleus) > 0.7
    assert click.version == box.version == DEFAULT_MODEL
    refined = predictor.predict(Prompts(box=box_of(nucleus), mask=box.low_res))
    assert refined.mask.any()


def test_a_model_of_boxes_finds_the_object_by_a_click(image: np.ndarray, nucleus: np.ndarray) -> None:
    predictor = LivePredictor("litemedsam")
    predictor.set_image(image)
    click = predictor.predict(Prompts().with_click(deepest_point(nucleus)))
    assert predictor.learned == ("box",) and len(click.candidates) == 9
    assert dice(click.mask, nucleus) > 0.7 and click.version == "litemedsam"


def test_a_click_outside_the_image_is_a_sentence(predictor: LivePredictor) -> None:
    with pytest.raises(UserError, match="outside the image"):
        predictor.predict(Prompts().with_click((500, 3)))


def test_swap_and_rollback(predictor: LivePredictor, adapter: Adapter, nucleus: np.ndarray) -> None:
    box = Prompts(box=box_of(nucleus))
    before = predictor.predict(box)
    assert predictor.swap(adapter) == f"{DEFAULT_MODEL}+{adapter.id}" == predictor.version
    after = predictor.predict(box)
    assert after.version == predictor.version and not np.array_equal(after.low_res, before.low_res)
    assert predictor.learned == ("point", "box")
    assert predictor.rollback() == DEFAULT_MODEL
    assert np.array_equal(predictor.predict(box).low_res, before.low_res)
    predictor.rollback()
    assert np.array_equal(predictor.predict(box).low_res, after.low_res)


def test_a_rollback_after_another_image_answers_on_that_image(
    predictor: LivePredictor, adapter: Adapter, image: np.ndarray
) -> None:
    predictor.swap(adapter)
    predictor.set_image(image[:64, :96])
    predictor.rollback()
    assert predictor.predict(Prompts(box=(10, 10, 40, 40))).mask.shape == (64, 96)


def test_a_bad_adapter_leaves_the_model(
    predictor: LivePredictor, adapter: Adapter, nucleus: np.ndarray, tmp_path: Path
) -> None:
    box = Prompts(box=box_of(nucleus))
    before = predictor.predict(box)
    foreign = dataclasses.replace(adapter, meta=adapter.meta.model_copy(update={"fingerprint": "0" * 64}))
    foreign.save(tmp_path / "foreign.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"\x00" * 50)
    for bad, words in (("foreign", "another base model"), ("broken", "broken.safetensors"), ("gone", "does not exist")):
        with pytest.raises(UserError, match=words):
            predictor.swap(tmp_path / f"{bad}.safetensors")
    assert np.array_equal(predictor.predict(box).low_res, before.low_res)
    assert predictor.version == DEFAULT_MODEL and not predictor.can_rollback


def test_a_prediction_during_swaps_is_of_one_model(
    predictor: LivePredictor, adapter: Adapter, nucleus: np.ndarray
) -> None:
    """Whatever the moment, the answer is the one of the model that it names."""
    box = Prompts(box=box_of(nucleus))
    wanted = {predictor.version: predictor.predict(box).low_res}
    predictor.swap(adapter)
    wanted[predictor.version] = predictor.predict(box).low_res
    done, torn, seen = threading.Event(), [], set()

    def click() -> None:
        while not done.is_set():
            found = predictor.predict(box)
            seen.add(found.version)
            if not np.array_equal(found.low_res, wanted[found.version]):
                torn.append(found.version)

    thread = threading.Thread(target=click)
    thread.start()
    for _ in range(6):
        predictor.rollback()
        seen_before = len(seen)
        while len(seen) == seen_before and len(seen) < 2:
            threading.Event().wait(0.01)
    done.set()
    thread.join()
    assert not torn and seen == set(wanted)
