from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naslora_napari.live import LivePredictor
from naslora_napari.live.propagation import Limits, Outline, planes_after, prompts_for_next, why_it_ends
from naslora_napari.store.records import ImageEntry
from naslora_trainer.pictures import picture_of
from naslora_trainer.scores import dice

WIDTH = 96


def ball(z: int, radius: int = 24, middle: tuple[int, int] = (48, 50)) -> np.ndarray:
    """Return the section at height ``z`` of a ball around 0."""
    rows, cols = np.ogrid[:WIDTH, :WIDTH]
    return np.asarray((rows - middle[0]) ** 2 + (cols - middle[1]) ** 2 < radius**2 - z**2)


def section(z: int) -> np.ndarray:
    """Return an image of it, with a texture that a model can hold on to."""
    noise = np.random.default_rng(z + 100).normal(0, 6, (WIDTH, WIDTH))
    return np.clip(np.where(ball(z), 170, 60) + noise, 0, 255).astype(np.uint8)


def outline(mask: np.ndarray) -> Outline:
    return Outline(*np.nonzero(mask), WIDTH)


def test_planes_follow_along_the_last_axis_of_their_file() -> None:
    stack, other = Path("a.tif"), Path("b.tif")
    images = [ImageEntry(f"t{t}z{z}", stack, (t, z)) for t in range(2) for z in (0, 1, 2, 10)]
    images += [ImageEntry("alone", other), ImageEntry("z", other.with_name("c.tif"), (1,))]
    assert planes_after(images, "t1z1", 1) == ["t1z2", "t1z10"] and planes_after(images, "t1z1", -1) == ["t1z0"]
    assert planes_after(images, "alone", 1) == planes_after(images, "z", 1) == planes_after(images, "t0z10", 1) == []


def test_an_object_ends_for_a_reason() -> None:
    here = outline(ball(0))
    assert why_it_ends(here, outline(ball(3)), 0.9, 0) == ""
    assert "nothing" in why_it_ends(here, outline(np.zeros((WIDTH, WIDTH), bool)), 0.9, 0)
    assert "somewhere else" in why_it_ends(here, outline(ball(0, middle=(48, 80))), 0.9, 0)
    assert "size" in why_it_ends(here, outline(ball(18)), 0.9, 0, Limits(overlap=0.1))
    assert "sure" in why_it_ends(here, outline(ball(3)), 0.2, 0)
    assert "already" in why_it_ends(here, outline(ball(3)), 0.9, 1500)


def test_the_next_plane_is_asked_with_the_mask_and_a_larger_box() -> None:
    prompts = prompts_for_next(outline(ball(0)), (WIDTH, WIDTH))
    assert prompts.mask is not None and prompts.mask_region == (25, 27, 72, 74)
    assert prompts.box == pytest.approx((20.3, 22.3, 76.7, 78.7))
    at_the_edge = prompts_for_next(outline(ball(0, middle=(10, 90))), (WIDTH, WIDTH))
    assert at_the_edge.box is not None and at_the_edge.box[0] == 0 and at_the_edge.box[3] == WIDTH


def test_the_real_model_follows_a_ball() -> None:
    predictor = LivePredictor()
    predictor.set_image(section(0))
    last, followed = outline(ball(0)), []
    for z in range(2, 26, 4):
        picture = picture_of(section(z))
        found = predictor.predict_on(picture, prompts_for_next(last, picture.shape))
        now = Outline.of(found, WIDTH)
        if why_it_ends(last, now, found.score, 0):
            break
        followed.append(dice(found.mask, ball(z)))
        last = now
    assert len(followed) >= 4 and np.mean(followed) > 0.85
    assert predictor.image_shape == (WIDTH, WIDTH)
