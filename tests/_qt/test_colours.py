"""Colours stay apart for colour-blind eyes, and stand out from both themes."""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import numpy as np
import pytest
from napari.utils.theme import get_theme
from skimage.color import deltaE_ciede2000, rgb2lab

from naslora_napari._qt import colours
from naslora_napari._qt.colours import Themed

#: How eyes without one kind of cone see, in linear RGB. Source: Machado, Oliveira and Fernandes, "A physiologically-
#: based model for simulation of color vision deficiency", IEEE TVCG 15 (2009), severity 1.0.
EYES = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
#: A CIEDE2000 of 1 is just seen side by side; this is seen at a glance.
APART = 15.0
#: WCAG 2.2 level AA: text (1.4.3), and lines and signs (1.4.11).
TEXT, SIGN = 4.5, 3.0
THEMES: tuple[Literal["dark", "light"], ...] = ("dark", "light")
LINES = ("LOSS", "CLICKS", "BOXES")


def linear(colour: str) -> np.ndarray:
    """Return a colour ``#rrggbb`` in linear RGB (IEC 61966-2-1)."""
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def seen(colour: str, eyes: str) -> np.ndarray:
    """Return a colour in CIELAB as some eyes see it."""
    value = np.clip(EYES[eyes] @ linear(colour), 0, 1)
    return rgb2lab(np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055))


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2.2."""
    dark, light = sorted(float(linear(c) @ (0.2126, 0.7152, 0.0722)) for c in (one, other))
    return (light + 0.05) / (dark + 0.05)


def apart(one: str, other: str, eyes: str) -> float:
    """Return the CIEDE2000 of two colours as some eyes see them."""
    return float(deltaE_ciede2000(seen(one, eyes), seen(other, eyes)))


def test_the_simulation_confuses_what_such_eyes_confuse() -> None:
    assert apart("#d00000", "#5b6800", "normal") > 3 * apart("#d00000", "#5b6800", "protanopia")
    assert apart("#00a0a0", "#3f9cb4", "tritanopia") < APART < apart("#d55e00", "#0072b2", "deuteranopia")
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("eyes", EYES)
def test_what_is_drawn_on_an_image_stays_apart(eyes: str) -> None:
    drawn = (colours.POSITIVE, colours.NEGATIVE, colours.AREA, colours.MASK)
    assert min(apart(*pair, eyes) for pair in combinations(drawn, 2)) > APART
    assert min(contrast(colour, "#000000") for colour in drawn) > SIGN


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("eyes", EYES)
def test_the_lines_of_a_training_stay_apart(theme: Literal["dark", "light"], eyes: str) -> None:
    lines = [getattr(getattr(colours, name), theme) for name in LINES]
    assert min(apart(*pair, eyes) for pair in combinations(lines, 2)) > APART


@pytest.mark.parametrize("theme", THEMES)
def test_texts_and_signs_stand_out_from_the_window(theme: Literal["dark", "light"]) -> None:
    found = get_theme(theme)
    window, field = found.background.as_hex(), found.foreground.as_hex()
    for text in (found.text.as_hex(), getattr(colours.TROUBLE, theme)):
        assert contrast(text, window) >= TEXT and contrast(text, field) >= TEXT
    signs = {name: value for name, value in vars(colours).items() if isinstance(value, Themed)}
    assert len(signs) > 5
    assert not [name for name, value in signs.items() if contrast(getattr(value, theme), window) < SIGN]
    assert not [name for name, value in signs.items() if contrast(getattr(value, theme), field) < SIGN]
