"""Masks as no more than the part of an image that they lie in, and the label image that is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional

from naslora_trainer.mask_prompt import LOW_RES

#: Masks that cover more of the image are background.
LARGEST_SHARE = 0.6
#: A mask of which less than this share is still free is a part of what is there already.
FREE_SHARE = 0.5
#: A label image is renumbered by so many pixels at once.
PART = 1 << 22


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


@dataclass(frozen=True)
class Mask:
    """The pixels of one object.

    Attributes
    ----------
    row, col : int
        Where in the image its part begins.
    pixels : ndarray
        (h, w) bool: that part, which all of the object lies in.
    """

    row: int
    col: int
    pixels: np.ndarray

    @property
    def window(self) -> tuple[slice, slice]:
        """The part as slices of the image."""
        height, width = self.pixels.shape
        return slice(self.row, self.row + height), slice(self.col, self.col + width)


def best_first(labels: np.ndarray, confidence: np.ndarray, classes: np.ndarray | None = None) -> AutoMasks:
    """Return objects ``1..N`` of ``labels`` renumbered in place, the most confident first."""
    order = np.argsort(-confidence, kind="stable")
    number = np.zeros(len(order) + 1, np.int32)
    number[order + 1] = np.arange(1, len(order) + 1)
    flat = labels.reshape(-1)
    for start in range(0, flat.size, PART):
        flat[start : start + PART] = number[flat[start : start + PART]]
    return AutoMasks(labels, confidence[order], None if classes is None else classes[order])


def paint(
    masks: Sequence[Mask], scores: Sequence[float], shape: tuple[int, ...], largest_share: float = LARGEST_SHARE
) -> AutoMasks:
    """Make one label image of masks that may overlap: the better one keeps the pixels.

    Parameters
    ----------
    masks : sequence of Mask
        In one image.
    scores : sequence of float
        How good each is; clipped to 0..1.
    shape : tuple of int
        (H, W) of the image.
    largest_share : float
        Masks that cover more of the image are left out.
    """
    labels = np.zeros(shape[:2], np.int32)
    confidence: list[float] = []
    for i in np.argsort(-np.asarray(scores, float), kind="stable"):
        part, area = labels[masks[i].window], int(masks[i].pixels.sum())
        free = masks[i].pixels & (part == 0)
        if area <= largest_share * labels.size and free.any() and free.sum() >= FREE_SHARE * area:
            confidence.append(float(np.clip(scores[i], 0, 1)))
            part[free] = len(confidence)
    return AutoMasks(labels, np.array(confidence))


class Upscaling:
    """From the mask decoder's low resolution to pixels of an image, only where a mask is.

    ``Sam.postprocess_masks`` is linear and takes rows and columns apart. It is asked once per axis what it does, and
    the products of these two matrices with a part of the logits are the same answer, to rounding.

    Parameters
    ----------
    sam : Sam
        The model.
    input_size, image_size : (int, int)
        Rows and columns of the image as the encoder sees it, and as it is.
    """

    def __init__(self, sam: Sam, input_size: tuple[int, int], image_size: tuple[int, int]) -> None:
        self._axes = [
            _weights(sam.image_encoder.img_size, seen, size) for seen, size in zip(input_size, image_size, strict=True)
        ]
        self._threshold = float(sam.mask_threshold)

    def mask(self, logits: Tensor) -> Mask:
        """Return the mask of logits (256, 256); of (0, 0) pixels where there is nothing in it."""
        above = logits > self._threshold
        spans = [_span(axis, above.any(dim=1 - i)) for i, axis in enumerate(self._axes)]
        if None in spans:
            return Mask(0, 0, np.zeros((0, 0), bool))
        (rows, from_rows), (cols, from_cols) = spans  # type: ignore[misc]
        across, along = self._axes[0][rows, from_rows], self._axes[1][cols, from_cols]
        pixels = (across @ logits[from_rows, from_cols] @ along.T) > self._threshold
        return Mask(rows.start, cols.start, pixels.numpy())


def _weights(frame: int, seen: int, size: int) -> Tensor:
    """Return by how much each of the low-resolution rows (or columns) goes into each of ``size`` of an image."""
    one = torch.eye(LOW_RES)[None, None]
    framed = functional.interpolate(one, (frame, LOW_RES), mode="bilinear", align_corners=False)[:, :, :seen]
    return functional.interpolate(framed, (size, LOW_RES), mode="bilinear", align_corners=False)[0, 0]


def _span(weights: Tensor, above: Tensor) -> tuple[slice, slice] | None:
    """Return which pixels can be above the threshold along an axis, and what they are made of; None: none.

    A weighted mean is only above the threshold where one of its parts is.
    """
    pixels = _ends(weights[:, above].any(dim=1))
    if pixels is None:
        return None
    made_of = _ends(weights[pixels].any(dim=0))
    return None if made_of is None else (pixels, made_of)


def _ends(found: Tensor) -> slice | None:
    """Return the span from the first to the last place that is true."""
    places = found.nonzero()
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else None
