"""How good a model's answers are on labelled objects, asked as a person asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from .answer import answer
from .data import TrainingImage, objects_of
from .prompts import Prompts, box_of, deepest_point, next_click
from .scores import dice, iou

#: What counts as "never reached" in the number of clicks: one more than was tried.
_TARGETS = {"noc85": 0.85, "noc90": 0.90}


def evaluate(
    sam: Sam,
    learned: Sequence[str],
    images: Sequence[TrainingImage],
    kinds: Sequence[str] = ("point", "box"),
    clicks: int = 1,
    max_objects: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Return mean scores over objects for each kind of prompt.

    The first click is deepest inside the object, each further one deepest inside the largest error region.

    Parameters
    ----------
    sam : Sam
        The model, in eval mode.
    learned : sequence of str
        Prompts the model was trained on (see :func:`naslora_trainer.answer.answer`).
    images : sequence of TrainingImage
        With labelled objects.
    kinds : sequence of str
        ``"point"`` and/or ``"box"``.
    clicks : int
        Number of simulated clicks for ``"point"``, at least 1.
    max_objects : int, optional
        At most so many objects of each image, evenly picked.
    on_progress : callable, optional
        Called with (images done, images in all).

    Returns
    -------
    dict
        ``objects``; ``point``: ``dice`` and ``iou`` (lists, after 1..clicks clicks), ``noc85``, ``noc90`` (mean number
        of clicks to IoU 0.85 and 0.90; never reached counts as ``clicks + 1``); ``box``: ``dice``, ``iou``.
    """
    predictor = SamPredictor(sam)
    points: list[list[tuple[float, float]]] = []
    boxes: list[tuple[float, float]] = []
    for done, image in enumerate(images):
        ids = objects_of(image)
        if not ids:
            continue
        predictor.set_image(image.image)
        for target in (image.labels == i for i in _evenly(ids, max_objects)):
            if "point" in kinds:
                points.append(_click_through(predictor, learned, target, clicks))
            if "box" in kinds:
                mask = answer(predictor, Prompts(box=box_of(target)), learned).mask
                boxes.append((dice(mask, target), iou(mask, target)))
        if on_progress:
            on_progress(done + 1, len(images))
    return _summary(points, boxes, clicks)


def _evenly(ids: list[int], most: int | None) -> list[int]:
    if most is None or len(ids) <= most:
        return ids
    return [ids[i] for i in np.linspace(0, len(ids) - 1, most).round().astype(int)]


def _click_through(
    predictor: SamPredictor, learned: Sequence[str], target: np.ndarray, clicks: int
) -> list[tuple[float, float]]:
    """Click until ``clicks`` are used up or nothing is left to correct; the last score is then repeated."""
    prompts = Prompts().with_click(deepest_point(target))
    scores: list[tuple[float, float]] = []
    while len(scores) < clicks:
        mask = answer(predictor, prompts, learned).mask
        scores.append((dice(mask, target), iou(mask, target)))
        correction = next_click(mask, target)
        if correction is None:
            return scores + [scores[-1]] * (clicks - len(scores))
        prompts = prompts.with_click(*correction)
    return scores


def _summary(points: list[list[tuple[float, float]]], boxes: list[tuple[float, float]], clicks: int) -> dict[str, Any]:
    result: dict[str, Any] = {"objects": max(len(points), len(boxes))}
    if points:
        table = np.array(points)  # objects, clicks, (dice, iou)
        mean = table.mean(axis=0)
        result["point"] = {"dice": mean[:, 0].tolist(), "iou": mean[:, 1].tolist()}
        for name, target in _TARGETS.items():
            reached = table[:, :, 1] >= target
            first = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, clicks + 1)
            result["point"][name] = float(first.mean())
    if boxes:
        mean_box = np.mean(boxes, axis=0)
        result["box"] = {"dice": float(mean_box[0]), "iou": float(mean_box[1])}
    return result
