"""Drawn leaves with lesions: they stand in for photographs in the pictures of the tutorial."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from naslora_trainer.prompts import Point

#: Rows and columns of a drawing, and how many lesions are on it.
SIZE, LESIONS = (480, 640), 10
PAPER, LEAF, VEIN, HALO, LESION = (226, 224, 218), (92, 138, 58), (128, 168, 92), (176, 176, 82), (112, 66, 34)


def draw_leaves(folder: Path, count: int, first_seed: int = 0) -> list[np.ndarray]:
    """Draw leaves into ``folder/leaf-N.png``, and return for each its lesions: ``(H, W)``, 0 is none, 1..N are they."""
    folder.mkdir(parents=True)
    return [_draw(folder / f"leaf-{number + 1}.png", first_seed + number) for number in range(count)]


def _draw(path: Path, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    rows, cols = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
    wave = gaussian_filter(random.normal(size=SIZE), 14) * 90
    y, x = (rows - SIZE[0] / 2 + wave) / (SIZE[0] * 0.40), (cols - SIZE[1] / 2) / (SIZE[1] * 0.46)
    leaf = np.abs(y) < np.sqrt(np.clip(1 - x**2, 0, None)) * (0.75 + 0.25 * (1 - x) / 2)
    picture = np.full((*SIZE, 3), PAPER, float)
    picture[leaf] = LEAF
    veins = (np.abs(y) < 0.02) | (np.abs((x * 6 - np.abs(y) * 2) % 1) < 0.035)
    picture[leaf & veins] = VEIN
    lesions = np.zeros(SIZE, int)
    for number, (row, col) in enumerate(sorted(_apart(random, leaf), key=lambda place: place[1]), 1):
        size, stretch, turn = random.uniform(13, 24), random.uniform(1.0, 1.7), random.uniform(0, np.pi)
        dy, dx = rows - row, cols - col
        along, across = dy * np.sin(turn) + dx * np.cos(turn), dy * np.cos(turn) - dx * np.sin(turn)
        ragged = 1 + 0.25 * _around(random, np.arctan2(across, along))
        far = np.hypot(along / stretch, across * stretch) / (size * ragged)
        picture[leaf & (far < 1.35)] = HALO
        picture[leaf & (far < 1)] = LESION
        lesions[leaf & (far < 1)] = number
    picture = gaussian_filter(picture, (1.2, 1.2, 0)) + random.normal(0, 3, (*SIZE, 1))
    light = 1 + gaussian_filter(random.normal(size=SIZE), 60)[..., None] * 4
    Image.fromarray(np.clip(picture * light, 0, 255).astype(np.uint8)).save(path)
    return lesions


def _apart(random: np.random.Generator, leaf: np.ndarray) -> list[Point]:
    """Choose places on a leaf that are apart from each other and from its edge."""
    inside = np.argwhere(gaussian_filter(leaf.astype(float), 18) > 0.97)
    chosen: list[Point] = []
    for row, col in random.permutation(inside):
        if all(np.hypot(row - r, col - c) > 62 for r, c in chosen):
            chosen.append((float(row), float(col)))
        if len(chosen) == LESIONS:
            break
    return chosen


def _around(random: np.random.Generator, angle: np.ndarray) -> np.ndarray:
    """Return a smooth random value for each angle, the same after a whole turn."""
    ring = gaussian_filter(random.normal(size=48), 2, mode="wrap") * 2
    return map_coordinates(ring, [(angle + np.pi) / (2 * np.pi) * 48], order=1, mode="wrap")
