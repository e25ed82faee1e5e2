"""Small pictures of what a model answers on held-out images, for a person who watches a training."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from segment_anything import SamPredictor
from skimage.segmentation import find_boundaries

from .data import TrainingImage, boxes_in, objects_of
from .evaluate import answer_all
from .examinee import Examinee
from .prompts import Prompts, box_of, deepest_point

#: Side of a picture in pixels; larger images are reduced to it.
SIDE = 224
#: At most so many objects of an image are asked for.
MOST_OBJECTS = 24
#: A case shows an object with so much of its surroundings, as a share of its size, and at least so many pixels.
AROUND, LEAST_AROUND = 0.6, 16
#: Colours of Okabe and Ito, which colour-blind eyes tell apart: what the person drew, what the model answers.
DRAWN, ANSWERED = (255, 255, 255), (230, 159, 0)


def watched(images: Sequence[TrainingImage], most: int) -> list[TrainingImage]:
    """Return the held-out images that are shown during a training: those with most objects, in a fixed order."""
    return sorted(images, key=lambda image: (-len(objects_of(image)), image.name))[:most]


def sights(model: Examinee, images: Sequence[TrainingImage]) -> list[dict[str, str]]:
    """Return a picture of each image with what was drawn, and what the model answers to one click on each object.

    Parameters
    ----------
    model : Examinee
        The model.
    images : sequence of TrainingImage
        See :func:`watched`.

    Returns
    -------
    list of dict
        ``name`` and ``jpeg`` (base64, at most ``SIDE`` pixels wide and high).
    """
    found = []
    for image in images:
        targets = [image.labels == key for key in objects_of(image)[:MOST_OBJECTS]]
        answers = _clicked(model.look(image), targets, model.learned)
        drawn = [(target, DRAWN) for target in targets] + [(mask, ANSWERED) for mask in answers]
        found.append({"name": image.name, "jpeg": _jpeg(_reduced(image.image, drawn))})
    return found


def cases(
    before: Examinee,
    after: Examinee,
    worst: Sequence[dict[str, Any]],
    images: Sequence[TrainingImage],
) -> list[dict[str, Any]]:
    """Return objects of :meth:`naslora_trainer.gate.Gate.worst` with the answers of two models side by side.

    Parameters
    ----------
    before, after : Examinee
        Two models.
    worst : sequence of dict
        ``name``, ``object``, ``prompt`` (``click`` or ``box``), and what else is known of each.
    images : sequence of TrainingImage
        In which they are.

    Returns
    -------
    list of dict
        Each with ``jpeg`` (base64): left the answer of ``before``, right that of ``after``, what was drawn in both.
    """
    of_name = {image.name: image for image in images}
    found = []
    for case in worst:
        image = of_name[case["name"]]
        target = image.labels == case["object"]
        window = _around(boxes_in(target.astype(np.int32))[1], target.shape)
        halves = []
        for model in (before, after):
            predictor = model.look(image)
            if case["prompt"] == "box":
                mask = answer_all(predictor, [Prompts(box=box_of(target))], model.learned)[0]
            else:
                mask = _clicked(predictor, [target], model.learned)[0]
            halves.append(_reduced(image.image[window], [(target[window], DRAWN), (mask[window], ANSWERED)]))
        gap = np.zeros((halves[0].shape[0], 4, 3), np.uint8)
        found.append({**case, "jpeg": _jpeg(np.concatenate([halves[0], gap, halves[1]], axis=1))})
    return found


def _clicked(predictor: SamPredictor, targets: Sequence[np.ndarray], learned: Sequence[str]) -> list[np.ndarray]:
    prompts = [Prompts().with_click(deepest_point(target)) for target in targets]
    with torch.no_grad():
        return answer_all(predictor, prompts, learned)


def _around(box: tuple[int, int, int, int], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the window of an object and its surroundings, a square where the image allows."""
    row0, col0, row1, col1 = box
    half = max(row1 - row0, col1 - col0) / 2
    half += max(AROUND * half, LEAST_AROUND)
    row, col = (row0 + row1) / 2, (col0 + col1) / 2
    return (
        slice(max(0, round(row - half)), min(shape[0], round(row + half))),
        slice(max(0, round(col - half)), min(shape[1], round(col + half))),
    )


def _reduced(image: np.ndarray, drawn: Sequence[tuple[np.ndarray, tuple[int, int, int]]]) -> np.ndarray:
    """Return an image at most or, of a small one, about ``SIDE`` wide and high, with outlines of masks on it."""
    scale = SIDE / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
    for mask, colour in drawn:
        fine = np.asarray(Image.fromarray(mask.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)) > 0
        small[find_boundaries(fine, mode="inner")] = colour
    return small


def _jpeg(rgb: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=85, subsampling=0)
    return base64.b64encode(file.getvalue()).decode("ascii")
