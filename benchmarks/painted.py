"""More images from few: close-ups in other light, and thin branching objects painted on them.

The free packs have no roots, veins, hyphae or vessels, and a click adapter that never saw one answers with the ground.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from naslora_trainer.data import TrainingImage

#: Thickest and thinnest trunk, as a share of the image's longer side.
TRUNK = (1 / 120, 1 / 45)
#: A twig thinner than this share of the longer side is not painted.
THINNEST = 1 / 400
#: Strongest blur of the ground, as a share of the longer side: few things but the tree are left to see.
BLUR = 1 / 25


def with_tree(image: TrainingImage, seed: int) -> TrainingImage:
    """Return ``image`` with a tree painted on it, which is its one object, all of it labelled.

    The ground is the image, blurred at random; the tree is darker or brighter than it, in a tint of its own.

    Parameters
    ----------
    image : TrainingImage
        The ground; its own objects are forgotten.
    seed : int
        Of the tree, its tint and the blur.
    """
    rng = np.random.default_rng(seed)
    height, width = image.labels.shape
    side = max(height, width)
    blur = side * BLUR * rng.random()
    ground = ndimage.gaussian_filter(image.image.astype(float), (blur, blur, 0))
    tree = draw_tree(height, width, rng)
    if rng.random() < 0.5:  # seen through a round opening
        far = np.hypot(*(np.indices((height, width)) - np.reshape([height / 2, width / 2], (2, 1, 1))))
        opening = far < min(height, width) * rng.uniform(0.45, 0.55)
        ground, tree = ground * opening[..., None], tree & opening
    edge = ndimage.gaussian_filter(tree.astype(float), side / 500)[..., None]
    bright = ground.mean() < 90
    own = ground * rng.uniform(0, 0.6, 3) + 255 * bright * rng.uniform(0.4, 1)  # the ground's tint, darker or brighter
    tint = own if rng.random() < 0.6 else rng.uniform(160, 255, 3) if bright else rng.uniform(0, 60, 3)
    painted = ground + rng.uniform(0.2, 0.7) * edge * (tint - ground)
    painted += rng.normal(0, rng.uniform(0, 6), ground.shape)
    pixels = painted.clip(0, 255).astype(np.uint8)
    return TrainingImage(image.name, pixels, tree.astype(np.int32), complete=True)


def draw_tree(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Return a tree (height, width) bool: some trunks from one crown, which wander, branch and become thin."""
    side = max(height, width)
    canvas = Image.new("1", (width, height))
    draw = ImageDraw.Draw(canvas)
    crown = rng.uniform(0.1, 0.9, 2) * (width, height)
    trunks = int(rng.integers(3, 8))
    open_ends = [
        (*crown, 2 * math.pi * (k + rng.uniform(-0.3, 0.3)) / trunks, side * rng.uniform(*TRUNK)) for k in range(trunks)
    ]
    while open_ends:
        x, y, angle, thick = open_ends.pop()
        bend = 0.0
        while thick > side * THINNEST and -thick < x < width + thick and -thick < y < height + thick:
            step = side / 60
            bend = 0.7 * bend + rng.normal(0, 0.12)
            angle += bend
            ahead = (x + step * math.cos(angle), y + step * math.sin(angle))
            draw.line([(x, y), ahead], fill=1, width=max(1, round(thick)))
            x, y = ahead
            thick *= 0.975
            if rng.random() < 0.1:
                turn = rng.choice([-1, 1]) * rng.uniform(0.4, 1.1)
                open_ends.append((x, y, angle + turn, thick * rng.uniform(0.5, 0.85)))
    return np.array(canvas)


def close_up(image: TrainingImage, seed: int) -> TrainingImage:
    """Return ``image`` cut around its objects with a random margin, in other light: gain and gamma of each channel."""
    rng = np.random.default_rng(seed)
    places = np.argwhere(image.labels > 0)
    low, high = places.min(axis=0), places.max(axis=0) + 1
    low = np.maximum(0, low - rng.uniform(0.02, 0.4, 2) * (high - low)).astype(int)
    high = np.minimum(image.labels.shape, high + rng.uniform(0.02, 0.4, 2) * (high - low)).astype(int)
    part = np.s_[low[0] : high[0], low[1] : high[1]]
    light = 255 * (image.image[part] / 255) ** rng.uniform(0.7, 1.4, 3) * rng.uniform(0.8, 1.15, 3)
    pixels = light.clip(0, 255).astype(np.uint8)
    return TrainingImage(image.name, pixels, image.labels[part].copy(), complete=True)
