"""How good a model's answers are on labelled objects, asked as a person asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from segment_anything import SamPredictor

from .answer import ambiguous, answer, logits_of, masks_of
from .data import TrainingImage, objects_of
from .examinee import Examinee
from .prompts import Prompts, box_of, deepest_point, next_click
from .scores import dice, iou

#: So many objects of an image are asked for together.
BATCH = 8
#: What counts as "never reached" in the number of clicks: one more than was tried.
_TARGETS = {"noc85": 0.85, "noc90": 0.90}


def evaluate(
    model: Examinee,
    images: Sequence[TrainingImage],
    kinds: Sequence[str] = ("point", "box"),
    clicks: int = 1,
    max_objects: int | None = None,
    on_object: Callable[[str, int, str, float], None] = lambda name, key, prompt, dice: None,
) -> dict[str, Any]:
    """Return mean scores over objects for each kind of prompt.

    The first click is deepest inside the object, each further one deepest inside the largest error region.

    Parameters
    ----------
    model : Examinee
        The model.
    images : sequence of TrainingImage
        With labelled objects.
    kinds : sequence of str
        ``"point"`` and/or ``"box"``.
    clicks : int
        Number of simulated clicks for ``"point"``, at least 1.
    max_objects : int, optional
        At most so many objects of each image, evenly picked.
    on_object : callable
        Called with (name of the image, id of the object, ``"click"`` or ``"box"``, Dice): of clicks after the first.

    Returns
    -------
    dict
        ``objects``; ``point``: ``dice`` and ``iou`` (lists, after 1..clicks clicks), ``noc85``, ``noc90`` (mean number
        of clicks to IoU 0.85 and 0.90; never reached counts as ``clicks + 1``); ``box``: ``dice``, ``iou``.
    """
    points: list[list[tuple[float, float]]] = []
    boxes: list[tuple[float, float]] = []
    for image in images:
        ids = _evenly(objects_of(image), max_objects)
        if not ids:
            continue
        predictor = model.look(image)
        for some in (ids[i : i + BATCH] for i in range(0, len(ids), BATCH)):
            targets = [image.labels == i for i in some]
            if "point" in kinds:
                clicked = _click_through(predictor, model.learned, targets, clicks)
                points += clicked
                for key, scores in zip(some, clicked, strict=True):
                    on_object(image.name, key, "click", scores[0][0])
            if "box" in kinds:
                masks = answer_all(predictor, [Prompts(box=box_of(target)) for target in targets], model.learned)
                boxed = [_scores(mask, target) for mask, target in zip(masks, targets, strict=True)]
                boxes += boxed
                for key, score in zip(some, boxed, strict=True):
                    on_object(image.name, key, "box", score[0])
    return _summary(points, boxes, clicks)


def _evenly(ids: list[int], most: int | None) -> list[int]:
    if most is None or len(ids) <= most:
        return ids
    return [ids[i] for i in np.linspace(0, len(ids) - 1, most).round().astype(int)]


def _scores(mask: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    return dice(mask, target), iou(mask, target)


def _click_through(
    predictor: SamPredictor, learned: Sequence[str], targets: Sequence[np.ndarray], clicks: int
) -> list[list[tuple[float, float]]]:
    """Click until ``clicks`` are used up or nothing is left to correct; the last score is then repeated."""
    prompts = [Prompts().with_click(deepest_point(target)) for target in targets]
    scores: list[list[tuple[float, float]]] = [[] for _ in targets]
    open_ones = list(range(len(targets)))
    for _ in range(clicks):
        masks = answer_all(predictor, [prompts[k] for k in open_ones], learned)
        still = []
        for k, mask in zip(open_ones, masks, strict=True):
            scores[k].append(_scores(mask, targets[k]))
            correction = next_click(mask, targets[k])
            if correction is not None:
                prompts[k] = prompts[k].with_click(*correction)
                still.append(k)
        open_ones = still
        if not open_ones:
            break
    return [row + [row[-1]] * (clicks - len(row)) for row in scores]


@torch.no_grad()
def answer_all(predictor: SamPredictor, prompts: Sequence[Prompts], learned: Sequence[str]) -> list[np.ndarray]:
    """Return the masks ``(H, W)`` bool that :func:`naslora_trainer.answer.answer` gives to each of ``prompts``.

    They share one pass of the mask decoder (see :mod:`naslora_trainer.mask_decoder`), to rounding the same.

    Parameters
    ----------
    predictor : SamPredictor
        With an image set.
    prompts : sequence of Prompts
        Only boxes, or only clicks and equally many.
    learned : sequence of str
        What the model was trained on.
    """
    if not prompts:
        return []
    if "point" not in learned:  # clicks become boxes, one object at a time
        return [answer(predictor, one, learned).mask for one in prompts]
    chosen, _ = decode_all(predictor, prompts, learned)
    return list(masks_of(predictor, chosen)[:, 0])


@torch.no_grad()
def decode_all(
    predictor: SamPredictor, prompts: Sequence[Prompts], learned: Sequence[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logits (B, 1, h, w) of the best mask for each prompt, and the IoU (B,) that the model predicts of it.

    Parameters
    ----------
    predictor, prompts, learned
        As for :func:`answer_all`; at least one prompt, and ``learned`` has ``"point"`` or these are boxes.
    """
    logits, quality = logits_of(predictor, prompts, "multimask" in learned and ambiguous(prompts[0]))
    best = quality.argmax(dim=1)
    each = torch.arange(len(prompts), device=logits.device)
    return logits[each, best][:, None], quality[each, best]


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
