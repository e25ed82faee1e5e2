"""How sure the model is of an image, so that a person labels next where labels help most.

A model that has learned to find objects by itself is asked about those that it finds; another one about clicks on a
grid, of which most hit no object. How far each foretells error is told in docs/results.md, "What the model doubts".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.spatial.distance import pdist, squareform
from scipy.special import entr

from naslora_trainer.prompts import Prompts
from naslora_trainer.scores import iou

if TYPE_CHECKING:
    from torch import Tensor

    from naslora_trainer.seed_head import SeedHead

    from .predictor import Look

#: Clicks on each side of the grid; a model that knows boxes only is asked nine boxes for a click, so fewer.
GRID, GRID_OF_BOXES = 5, 3
#: So many clicks are looked at closer: those of which the model expects most, since the others hit no object.
CLOSER = 8
#: The second click is so far from the first, as a share of the distance between clicks.
JITTER = 0.15
#: Masks of more of the image than this are background, as for :mod:`naslora_napari.batch.automask`.
LARGEST_SHARE = 0.6
#: A mask is stable where its edge stays when the threshold moves by so much, as in segment-anything.
STABILITY_OFFSET = 1.0
#: So many objects that the model finds by itself are asked about.
MOST_FOUND = 32
#: Pixels that are less probably part of an object are clear background, of which there may be any amount.
CLEAR = 0.1
#: What people are told of each part.
WORDS = {
    "seeds": "it is not sure what is object and what is background",
    "unconfirmed": "asked for the objects that it finds by itself, it answers with other outlines",
    "box": "a click and a box around what it found give different masks",
    "jitter": "two clicks side by side give different masks",
    "unstable": "the edges of its masks are not firm",
    "unsure": "it expects its masks to be wrong",
}


Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Doubt(BaseModel):
    """The doubt of one model about one image; each part is 0 (sure) to 1, None where it was not asked for.

    Attributes
    ----------
    seeds : float or None
        Of a model that finds objects by itself: mean entropy of the probability of an object, in bits, over pixels
        that are not clear background.
    unconfirmed : float or None
        1 - IoU of an object that it finds by itself and its answer to a click and a box there.
    box : float or None
        1 - IoU of the mask of a click on the grid and that of the box around it.
    jitter : float or None
        1 - IoU of the masks of two clicks that are close to each other.
    unstable : float or None
        1 - stability score: what of a mask depends on the exact threshold.
    unsure : float or None
        1 - IoU that the model itself predicts.
    clicks : int
        How many clicks were looked at.
    embedding : tuple of float
        Mean of the image's embedding over its area, to compare images with each other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: Share | None = None
    unconfirmed: Share | None = None
    box: Share | None = None
    jitter: Share | None = None
    unstable: Share | None = None
    unsure: Share | None = None
    clicks: int = Field(ge=0)
    embedding: tuple[Finite, ...] = Field(min_length=1, max_length=4096)

    @model_validator(mode="after")
    def _has_parts(self) -> Doubt:
        if not self.parts:
            raise ValueError("a doubt has at least one part")
        return self

    @property
    def parts(self) -> dict[str, float]:
        """Its parts by name, as far as they were asked for."""
        values = {name: getattr(self, name) for name in WORDS}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def value(self) -> float:
        """The doubt, 0 to 1: the mean of its parts."""
        return float(np.mean(list(self.parts.values())))

    @property
    def why(self) -> str:
        """What makes most of the doubt, in words."""
        parts = self.parts
        return WORDS[max(parts, key=parts.__getitem__)]


def doubt_of(look: Look, grid: int | None = None) -> Doubt:
    """Return how sure a model is of an image (see :meth:`naslora_napari.live.LivePredictor.look`).

    The image was encoded once; all else shares a few passes of the mask decoder.

    Parameters
    ----------
    look : Look
        The image as the model sees it.
    grid : int, optional
        Clicks on each side of the grid, for a model that does not find objects by itself.
    """
    return _of_grid(look, grid) if look.head is None else _of_found(look, look.head)


def _of_found(look: Look, head: SeedHead) -> Doubt:
    """Ask about the objects that the model finds by itself."""
    from naslora_trainer.instances import instances_of

    maps = _maps(look, head)
    probable = maps[0][maps[0] >= CLEAR]
    seeds = _mean(_entropy(probable)) if len(probable) else 0.0
    found = instances_of(maps, look.one_object)
    embedding = _mean_embedding(look)
    count = len(found.seeds)
    if count == 0:
        return Doubt(seeds=seeds, clicks=0, embedding=embedding)
    chosen = [int(k) for k in np.unique(np.linspace(0, count - 1, min(count, MOST_FOUND)).round())]
    objects = [found.labels == k + 1 for k in chosen]
    shape = look.predictor.original_size
    prompts = [Prompts(box=_box_around(mask, shape)) for mask in objects]
    if "point" in look.learned:
        scale = np.divide(shape, found.labels.shape)
        middles = (found.seeds[chosen] + 0.5) * scale - 0.5
        prompts = [
            prompt.with_click((max(0.0, float(row)), max(0.0, float(col))))
            for prompt, (row, col) in zip(prompts, middles, strict=True)
        ]
    logits, quality = _ask(look, prompts)
    return Doubt(
        seeds=seeds,
        unconfirmed=_disagreement(np.stack(objects), logits > look.predictor.model.mask_threshold),
        unsure=_mean(1 - quality),
        clicks=len(chosen),
        embedding=embedding,
    )


def _maps(look: Look, head: SeedHead) -> np.ndarray:
    """Return what a head says of the image (see :func:`naslora_trainer.seed_head.maps_of`)."""
    import torch

    from naslora_trainer.seed_head import maps_of

    predictor = look.predictor
    assert look.rgb is not None
    pixels = torch.as_tensor(predictor.transform.apply_image(look.rgb), device=predictor.device)
    seen = predictor.model.preprocess(pixels.permute(2, 0, 1).contiguous()[None])
    return maps_of(head, predictor.features, seen, [predictor.original_size])[0].astype(float)


def _entropy(probability: np.ndarray) -> np.ndarray:
    """Return the entropy of yes or no in bits, 0 to 1."""
    return np.asarray(entr(probability) + entr(1 - probability)) / np.log(2)


def _of_grid(look: Look, grid: int | None) -> Doubt:
    """Ask clicks on a grid, and closer those that promise most: other clicks beside them, and boxes around them."""
    from segment_anything.utils.amg import calculate_stability_score

    shape = look.predictor.original_size
    clicks, beside = _grid(shape, grid or (GRID if "point" in look.learned else GRID_OF_BOXES))
    logits, quality = _ask(look, [Prompts().with_click(point) for point in clicks])
    threshold = look.predictor.model.mask_threshold
    masks = (logits > threshold).cpu().numpy()
    stability = calculate_stability_score(logits, threshold, STABILITY_OFFSET).nan_to_num(0).cpu().numpy()
    kept = _likely_objects(masks, quality * stability)
    embedding = _mean_embedding(look)
    if len(kept) == 0:  # it finds nothing wherever it is asked
        return Doubt(box=1, jitter=1, unstable=1, unsure=1, clicks=0, embedding=embedding)
    near, _ = _ask(look, [Prompts().with_click(beside[k]) for k in kept])
    boxed, _ = _ask(look, [Prompts(box=_box_around(masks[k], shape)) for k in kept])
    return Doubt(
        box=_disagreement(masks[kept], boxed > threshold),
        jitter=_disagreement(masks[kept], near > threshold),
        unstable=_mean(1 - stability[kept]),
        unsure=_mean(1 - quality[kept]),
        clicks=len(kept),
        embedding=embedding,
    )


def ranked(doubts: Mapping[str, Doubt], count: int | None = None, chosen: Sequence[str] = ()) -> list[str]:
    """Return names in the order in which images should be labelled: doubtful, and unlike those before.

    The next one has the largest product of doubt and novelty: the distance of its mean embedding to the nearest one
    that was chosen before, in units of the root mean square distance between images, and no more than 1. So images
    that are unlike go by doubt alone, and the second of two that are the same comes last (a greedy cover in the manner
    of Sener & Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach", ICLR 2018).

    Parameters
    ----------
    doubts : mapping of str to Doubt
        By name of the image, of one model.
    count : int, optional
        How many are wanted; all by default.
    chosen : sequence of str
        Names in ``doubts`` that are labelled already: not proposed, and nothing like them is new.
    """
    names = list(doubts)
    if not names:
        return []
    value = np.array([doubts[name].value for name in names])
    distance = _distances(np.array([doubts[name].embedding for name in names]))
    nearest = np.ones(len(names))
    left = set(range(len(names)))
    for k in (names.index(name) for name in chosen):
        left.discard(k)
        nearest = np.minimum(nearest, distance[k])
    order: list[str] = []
    while left and (count is None or len(order) < count):
        best = max(left, key=lambda k: (value[k] * nearest[k], value[k], -k))
        left.remove(best)
        nearest = np.minimum(nearest, distance[best])
        order.append(names[best])
    return order


def _distances(embeddings: np.ndarray) -> np.ndarray:
    """Return distances ``(N, N)`` in units of their root mean square, at most 1."""
    apart = pdist(embeddings)
    usual = float(np.sqrt(np.mean(apart**2))) if len(apart) else 0.0
    return squareform(np.minimum(apart / usual, 1)) if usual > 0 else np.zeros((len(embeddings),) * 2)


def _grid(shape: tuple[int, int], side: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Return clicks (row, col) on a grid, and beside each one another; always the same ones."""
    height, width = shape
    rows, cols = ((np.arange(side) + 0.5) / side * size - 0.5 for size in shape)
    turns = np.arange(side * side) * 2.4  # radians: the golden angle, so that no direction is preferred
    step = JITTER / side
    first = [(float(row), float(col)) for row in rows for col in cols]
    second = [
        (
            float(np.clip(row + step * height * np.sin(turn), 0, height - 1)),
            float(np.clip(col + step * width * np.cos(turn), 0, width - 1)),
        )
        for (row, col), turn in zip(first, turns, strict=True)
    ]
    return [(max(row, 0.0), max(col, 0.0)) for row, col in first], second


def _likely_objects(masks: np.ndarray, promise: np.ndarray) -> np.ndarray:
    """Return the indices of masks ``(B, h, w)`` that may be objects, those that promise most."""
    share = masks.mean(axis=(1, 2))
    fit = np.flatnonzero((share > 0) & (share <= LARGEST_SHARE))
    if len(fit) == 0:
        fit = np.flatnonzero(share > 0)
    return fit[np.argsort(-promise[fit], kind="stable")[:CLOSER]]


def _ask(look: Look, prompts: Sequence[Prompts]) -> tuple[Tensor, np.ndarray]:
    """Return logits (B, h, w) of the image alone and qualities (B,) in 0..1, of prompts of one kind."""
    import torch

    from naslora_trainer.answer import answer
    from naslora_trainer.evaluate import decode_all

    predictor = look.predictor
    if "point" in look.learned or prompts[0].box is not None:
        logits, quality = decode_all(predictor, prompts, look.learned)
    else:
        found = [answer(predictor, one, look.learned) for one in prompts]
        logits = torch.from_numpy(np.stack([one.low_res for one in found]))
        quality = torch.tensor([one.score for one in found])
    height, width = _inside(look, logits)
    return logits[:, 0, :height, :width], quality.clamp(0, 1).cpu().numpy()


def _box_around(mask: np.ndarray, shape: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the box around a mask of low resolution, in pixels of the image of ``shape``."""
    rows, cols = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    down, across = shape[0] / mask.shape[0], shape[1] / mask.shape[1]
    return (
        float(rows[0] * down),
        float(cols[0] * across),
        float((rows[-1] + 1) * down),
        float((cols[-1] + 1) * across),
    )


def _inside(look: Look, values: Tensor) -> tuple[int, int]:
    """Return how many rows and columns of a square of values (..., N, N) are of the image, not beyond it."""
    frame = look.predictor.model.image_encoder.img_size
    height, width = (max(1, round(side * values.shape[-1] / frame)) for side in look.predictor.input_size)
    return height, width


def _mean_embedding(look: Look) -> tuple[float, ...]:
    features = look.predictor.features[0]
    height, width = _inside(look, features)
    mean = features[:, :height, :width].mean(dim=(1, 2)).cpu().numpy()
    return tuple(round(float(value), 5) for value in mean)


def _disagreement(masks: np.ndarray, others: Tensor) -> float:
    return _mean([1 - iou(one, other) for one, other in zip(masks, others.cpu().numpy(), strict=True)])


def _mean(values: Sequence[float] | np.ndarray) -> float:
    return round(float(np.clip(np.mean(values), 0, 1)), 5)
