"""All objects of an image, without a person: segment-anything's mask generator on the live model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.modeling import Sam
from segment_anything.utils.amg import rle_to_mask
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor

from naslora_trainer.devices import autocast
from naslora_trainer.instances import spread
from naslora_trainer.regions import MOST_SEEN

from .masks import AutoMasks, Mask, paint

#: Points on a side of the grid of prompts. The cost is its square.
GRID = 12
#: Sides of the boxes around each grid point for a model that only knows boxes, in pixels of its input frame / 256.
BOX_SIDES = (24, 48, 96)
#: Predicted IoU and stability below which a mask is dropped: the best F1 on the labelled sample tiles.
LOWEST_QUALITY, LOWEST_STABILITY = 0.4, 0.8


def segment_image(
    sam: Sam, learned: Sequence[str], image: np.ndarray, grid: int = GRID, precision: torch.dtype = torch.float32
) -> AutoMasks:
    """Find all objects of ``image``.

    Parameters
    ----------
    sam : Sam
        The model.
    learned : sequence of str
        What it was trained on (see :func:`naslora_trainer.models.learned_prompts`).
    image : ndarray
        ``(H, W, 3)`` uint8. A larger one than the model would ever see is asked about in the size that it sees.
    grid : int
        Prompts on each side of the image.
    precision : torch.dtype
        In which matrix products are computed.
    """
    if max(image.shape[:2]) > MOST_SEEN:
        small = segment_image(sam, learned, ResizeLongestSide(MOST_SEEN).apply_image(image), grid, precision)
        enlarged = small.labels[np.ix_(*spread(image.shape[:2], small.labels.shape))]
        return AutoMasks(enlarged, small.confidence)
    generator = SamAutomaticMaskGenerator(
        sam,
        points_per_side=grid,
        points_per_batch=32,
        pred_iou_thresh=LOWEST_QUALITY,
        stability_score_thresh=LOWEST_STABILITY,
        box_nms_thresh=0.7,
        output_mode="uncompressed_rle",
    )
    kind = _BoxesAroundPoints if "point" not in learned else _Predictor if "multimask" in learned else _OneMask
    generator.predictor = kind(sam, precision)
    found = generator.generate(image)
    return paint([_crop(mask) for mask in found], [mask["stability_score"] for mask in found], image.shape)


def _crop(found: dict[str, Any]) -> Mask:
    """Return one of the generator's masks without single pixels along its edge."""
    left, top, width, height = (int(length) for length in found["bbox"])  # floats where prompts found nothing
    row, col = max(0, top - 1), max(0, left - 1)  # of which the filter sees one more pixel around it
    pixels = rle_to_mask(found["segmentation"])[row : top + height + 2, col : left + width + 2]
    return Mask(row, col, ndimage.median_filter(pixels, 3))


class _Predictor(SamPredictor):
    """A predictor that computes in a precision of its own and answers in float32."""

    def __init__(self, sam: Sam, precision: torch.dtype) -> None:
        super().__init__(sam)
        self._precision = precision

    def set_torch_image(self, *args: Any, **kwargs: Any) -> None:
        with autocast(self.device.type, self._precision):
            super().set_torch_image(*args, **kwargs)
        self.features: Tensor = self.features.float()

    def predict_torch(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, Tensor]:
        with autocast(self.device.type, self._precision):
            masks, scores, low_res = super().predict_torch(*args, **kwargs)
        return masks if masks.dtype == torch.bool else masks.float(), scores.float(), low_res.float()


class _OneMask(_Predictor):
    """A predictor for models that answer a click with one mask."""

    def predict_torch(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, Tensor]:
        return super().predict_torch(*args, **{**kwargs, "multimask_output": False})


class _BoxesAroundPoints(_Predictor):
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
