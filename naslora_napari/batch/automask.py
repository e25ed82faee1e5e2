"""All objects of an image, without a person: segment-anything's mask generator on the live model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.modeling import Sam
from torch import Tensor

#: Points on a side of the grid of prompts. The cost is its square.
GRID = 12
#: Sides of the boxes around each grid point for a model that only knows boxes, in pixels of its input frame / 256.
BOX_SIDES = (24, 48, 96)
#: Masks that cover more of the image are background.
LARGEST_SHARE = 0.6
#: A mask of which less than this share is still free is a part of what is there already.
FREE_SHARE = 0.5
#: Predicted IoU and stability below which a mask is dropped: the best F1 on the labelled sample tiles.
LOWEST_QUALITY, LOWEST_STABILITY = 0.4, 0.8


@dataclass(frozen=True)
class AutoMasks:
    """Objects of one image.

    Attributes
    ----------
    labels : ndarray
        ``(H, W)`` int32: 0 background, 1..N objects, the best first.
    confidence : ndarray
        ``(N,)`` float: stability of each, 0 to 1.
    classes : ndarray or None
        ``(N,)`` int: number of the class of each, from 1 on; None where the model tells none.
    """

    labels: np.ndarray
    confidence: np.ndarray
    classes: np.ndarray | None = None


def segment_image(sam: Sam, learned: Sequence[str], image: np.ndarray, grid: int = GRID) -> AutoMasks:
    """Find all objects of ``image``.

    Parameters
    ----------
    sam : Sam
        The model.
    learned : sequence of str
        What it was trained on (see :func:`naslora_trainer.models.learned_prompts`).
    image : ndarray
        ``(H, W, 3)`` uint8.
    grid : int
        Prompts on each side of the image.
    """
    generator = SamAutomaticMaskGenerator(
        sam,
        points_per_side=grid,
        points_per_batch=32,
        pred_iou_thresh=LOWEST_QUALITY,
        stability_score_thresh=LOWEST_STABILITY,
        box_nms_thresh=0.7,
        output_mode="binary_mask",
    )
    if "point" not in learned:
        generator.predictor = _BoxesAroundPoints(sam)
    elif "multimask" not in learned:
        generator.predictor = _OneMask(sam)
    found = generator.generate(image)
    masks = [ndimage.median_filter(mask["segmentation"], 3) for mask in found]  # no single pixels along the edge
    return paint(masks, [mask["stability_score"] for mask in found], image.shape[:2])


def best_first(labels: np.ndarray, confidence: np.ndarray, classes: np.ndarray | None = None) -> AutoMasks:
    """Return objects ``1..N`` of ``labels`` renumbered, the most confident first."""
    order = np.argsort(-confidence, kind="stable")
    number = np.zeros(len(order) + 1, np.int32)
    number[order + 1] = np.arange(1, len(order) + 1)
    return AutoMasks(number[labels], confidence[order], None if classes is None else classes[order])


def paint(
    masks: Sequence[np.ndarray], scores: Sequence[float], shape: tuple[int, ...], largest_share: float = LARGEST_SHARE
) -> AutoMasks:
    """Make one label image of masks that may overlap: the better one keeps the pixels.

    Parameters
    ----------
    masks : sequence of ndarray
        ``(H, W)`` bool each.
    scores : sequence of float
        How good each is; clipped to 0..1.
    shape : tuple of int
        (H, W).
    largest_share : float
        Masks that cover more of the image are left out.
    """
    labels = np.zeros(shape[:2], np.int32)
    confidence: list[float] = []
    for i in np.argsort(-np.asarray(scores, float), kind="stable"):
        free = masks[i] & (labels == 0)
        if masks[i].mean() <= largest_share and free.any() and free.sum() >= FREE_SHARE * masks[i].sum():
            confidence.append(float(np.clip(scores[i], 0, 1)))
            labels[free] = len(confidence)
    return AutoMasks(labels, np.array(confidence))


class _OneMask(SamPredictor):
    """A predictor for models that answer a click with one mask."""

    def predict_torch(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, Tensor]:
        return super().predict_torch(*args, **{**kwargs, "multimask_output": False})


class _BoxesAroundPoints(SamPredictor):
    """A predictor for models that only know boxes: a point is asked for as boxes of several sizes around it."""

    def predict_torch(
        self, point_coords: Tensor, point_labels: Tensor, return_logits: bool = False, **_: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        half = torch.tensor(BOX_SIDES, device=self.device) * self.model.image_encoder.img_size / 512
        low = point_coords - half[None, :, None]
        boxes = torch.cat([low, point_coords + half[None, :, None]], dim=-1).clamp_min(0)
        height, width = self.input_size
        limit = torch.tensor([width, height, width, height], device=self.device)
        masks, scores, low_res = super().predict_torch(
            None,
            None,
            boxes=torch.minimum(boxes, limit).flatten(0, 1),
            multimask_output=False,
            return_logits=return_logits,
        )
        return tuple(part.view(len(point_coords), len(BOX_SIDES), *part.shape[2:]) for part in (masks, scores, low_res))  # type: ignore[return-value]
