from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from naslora_napari.live import LivePredictor
from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.adapter import Adapter
from naslora_trainer.errors import UserError
from naslora_trainer.pictures import picture_of
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


def test_what_a_window_asks_about_the_model_never_waits_for_a_change_of_it(predictor: LivePredictor) -> None:
    def state() -> tuple[object, ...]:
        return predictor.device, predictor.version, predictor.adapter, predictor.learned, predictor.is_ready

    with predictor._change, ThreadPoolExecutor(1) as other:  # as a swap does for as long as it encodes
        assert other.submit(state).result(timeout=10)[:3] == ("cpu", DEFAULT_MODEL, None)


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


def test_models_that_answered_lately_are_there_at_once(
    predictor: LivePredictor, adapter: Adapter, nucleus: np.ndarray, tmp_path: Path
) -> None:
    box = Prompts(box=box_of(nucleus))
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    adapter.save(one)
    dataclasses.replace(adapter, tensors={n: -t for n, t in adapter.tensors.items()}).save(two)
    models, answers = {}, {}
    for path in (None, one, two):
        predictor.swap(path)
        models[path], answers[path] = predictor.model, predictor.predict(box).low_res
    assert not np.array_equal(answers[one], answers[two])
    for path in (one, None, two):
        predictor.swap(path)
        assert predictor.model is models[path]
        assert np.array_equal(predictor.predict(box).low_res, answers[path])
    predictor.models.most_bytes = 1
    for path in (None, one, two):  # two are kept whatever they measure
        predictor.swap(path)
        assert len(predictor.models) == 2 and np.array_equal(predictor.predict(box).low_res, answers[path])
    assert predictor.model is not models[two]  # it was built anew, and answers the same
    assert predictor.models.base_fingerprint(predictor.base) == adapter.meta.fingerprint
    other = dataclasses.replace(adapter, meta=adapter.meta.model_copy(update={"prompts": ("box",)}))
    predictor.swap(one)
    predictor.swap(other)
    assert predictor.learned == ("box",)  # of the same id, and yet another one


def test_an_adapter_brings_its_base_along(
    predictor: LivePredictor, adapter: Adapter, nucleus: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Prompts(box=box_of(nucleus))
    mine = predictor.predict(box).low_res
    assert predictor.swap(None, "litemedsam") == "litemedsam" == predictor.base and predictor.learned == ("box",)
    other = predictor.predict(box).low_res
    assert not np.array_equal(other, mine)
    assert predictor.swap(adapter) == f"{DEFAULT_MODEL}+{adapter.id}" and predictor.base == DEFAULT_MODEL
    assert predictor.rollback() == "litemedsam" == predictor.base
    assert np.array_equal(predictor.predict(box).low_res, other)
    assert predictor.swap(None) == "litemedsam"
    with pytest.raises(UserError, match="'sam_vit_b' is not on this computer"):  # nobody asked for a download
        monkeypatch.setattr("naslora_trainer.base._downloads", lambda: Path("nowhere"))
        predictor.swap(None, "sam_vit_b")
    assert predictor.version == "litemedsam"


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


@pytest.fixture(scope="module")
def large(image: np.ndarray) -> np.ndarray:
    """2048 x 2048 pixels: the tile 256 times."""
    return np.tile(image, (16, 16) if image.ndim == 2 else (16, 16, 1))


def test_a_large_image_is_seen_at_the_zoom_of_the_person(large: np.ndarray, nucleus: np.ndarray) -> None:
    predictor, (height, width) = LivePredictor(), nucleus.shape
    row, col = deepest_point(nucleus)
    there = (8 * height + row, 9 * width + col)
    predictor.visible = (there[0] - 100, there[1] - 100, there[0] + 100, there[1] + 100)
    predictor.set_image(large)
    found = predictor.predict(Prompts().with_click(there))
    assert found.mask.shape == (256, 256) and found.offset != (0, 0)
    wanted = np.tile(nucleus, (16, 16))[found.window]
    part = np.zeros_like(wanted)
    rows, cols = 8 * height - found.offset[0], 9 * width - found.offset[1]
    part[max(0, rows) : rows + height, max(0, cols) : cols + width] = True
    assert dice(found.mask, wanted & part) > 0.6


def test_an_object_larger_than_a_region_is_asked_for_in_a_larger_one() -> None:
    image = np.full((2048, 2048, 3), 40, np.uint8)
    rows, cols = np.ogrid[:2048, :2048]
    disc = (rows - 900) ** 2 + (cols - 1000) ** 2 < 400**2
    image[disc] = (220, 200, 180)
    predictor = LivePredictor("litemedsam")
    predictor.visible = (850, 950, 950, 1050)
    predictor.set_image(image)
    found = predictor.predict(Prompts(box=(490, 590, 1310, 1410)))
    plane = np.zeros(disc.shape, bool)
    plane[found.window] = found.mask
    assert dice(plane, disc) > 0.9
    corner = predictor.predict(Prompts().with_click((900, 1395)))  # a region of 256 pixels would cut it off
    assert corner.part == (0, 0, 2048, 2048) or not corner.mask[[0, -1]].any()


def test_corrections_go_on_from_the_mask_of_another_region(large: np.ndarray) -> None:
    predictor = LivePredictor()
    predictor.visible = (0, 0, 200, 200)
    predictor.set_image(large)
    first = Prompts().with_click((100, 100))
    found = predictor.predict(first)
    predictor.visible = (0, 0, 900, 900)
    more = dataclasses.replace(first.with_click((100, 104)), mask=found.low_res, mask_region=found.part)
    again = predictor.predict(more)
    assert again.mask.any() and again.part != found.part


def test_nothing_is_encoded_twice(large: np.ndarray, image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    from segment_anything import SamPredictor

    encoded = []
    encode = SamPredictor.set_image
    monkeypatch.setattr(SamPredictor, "set_image", lambda self, rgb: (encoded.append(rgb.shape), encode(self, rgb)))
    predictor = LivePredictor()
    predictor.visible = (0, 0, 200, 200)
    predictor.set_image(large)
    predictor.prepare()
    predictor.predict(Prompts().with_click((100, 100)))
    assert len(encoded) == 1
    predictor.prefetch(picture_of(image))
    predictor.set_image(image)
    predictor.set_image(large)
    assert len(encoded) == 2


def test_a_new_contrast_is_another_image(image: np.ndarray) -> None:
    predictor = LivePredictor()
    gray = image if image.ndim == 2 else image[..., 0]
    wide = gray.astype(np.uint16) * 16
    box = Prompts(box=(10, 10, 60, 60))
    answers = []
    for limits in ((0, 4095), (0, 1000)):
        predictor.set_image(picture_of(wide, limits))
        answers.append(predictor.predict(box).low_res)
    assert not np.array_equal(*answers)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
def test_a_gpu_answers_as_a_processor_and_rolls_back_exactly(
    image: np.ndarray, adapter: Adapter, nucleus: np.ndarray
) -> None:
    place = Prompts().with_click(deepest_point(nucleus))
    on_gpu, on_cpu = LivePredictor(device="cuda"), LivePredictor(device="cpu")
    for one in (on_gpu, on_cpu):
        one.set_image(image)
    assert on_gpu.device.startswith("cuda")
    before = on_gpu.predict(place)
    assert dice(before.mask, on_cpu.predict(place).mask) > 0.99
    for one in (on_gpu, on_cpu):
        one.swap(adapter)
    assert dice(on_gpu.predict(place).mask, on_cpu.predict(place).mask) > 0.99
    on_gpu.rollback()
    assert np.array_equal(on_gpu.predict(place).low_res, before.low_res)
