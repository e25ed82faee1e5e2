"""Training images in the frame of the model, and the eight flips and rotations of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from segment_anything.modeling import Sam
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor

from .data import TrainingImage
from .mask_prompt import LOW_RES

#: Value of pixels of the frame that are not image.
PADDING = -1
#: An object smaller than this many low-resolution pixels is not trained on.
SMALLEST_OBJECT = 8


@dataclass(frozen=True)
class Frame:
    """One image as the model sees it.

    Attributes
    ----------
    labels : ndarray
        (256, 256) int32: object ids, 0 unlabelled, -1 beyond the image.
    objects : ndarray
        Ids that are large enough to be trained on.
    """

    labels: np.ndarray
    objects: np.ndarray

    @property
    def inside(self) -> np.ndarray:
        """(256, 256) bool: where answers are compared with objects.

        That is all of the image, whether all of its objects are labelled or not: an answer is one object, so whatever
        lies outside of an accepted mask is not that object, be it background or another cell. Only to compare near the
        object was measured to cost much (docs/results.md, "Three labels").
        """
        return self.labels != PADDING


def turned(array: np.ndarray, turn: int) -> np.ndarray:
    """Return one of the eight flips and rotations, ``turn`` 0 (unchanged) to 7, of the first two axes."""
    if turn >= 4:
        array = np.swapaxes(array, 0, 1)
    return np.ascontiguousarray(np.rot90(array, turn % 4))


def frame_shape(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Return how many rows and columns of the low-resolution frame an image of ``shape`` (H, W) fills."""
    height, width = ResizeLongestSide.get_preprocess_shape(*shape, side)
    return max(1, round(height * LOW_RES / side)), max(1, round(width * LOW_RES / side))


def framed(array: np.ndarray, turn: int, side: int) -> np.ndarray:
    """Return ``(H, W)`` int32 values of an image's pixels in the low-resolution frame of a model with input size
    ``side``: (256, 256), -1 beyond the image."""
    values = turned(array, turn)
    height, width = frame_shape(values.shape, side)
    rows = ((np.arange(height) + 0.5) * values.shape[0] / height).astype(int)
    cols = ((np.arange(width) + 0.5) * values.shape[1] / width).astype(int)
    result = np.full((LOW_RES, LOW_RES), PADDING, np.int32)
    result[:height, :width] = values[np.ix_(rows, cols)]
    return result


def frame_of(image: TrainingImage, turn: int, side: int) -> Frame:
    """Return labels and objects of ``image`` in the low-resolution frame of a model with input size ``side``."""
    labels = framed(image.labels, turn, side)
    ids, sizes = np.unique(labels[labels > 0], return_counts=True)
    return Frame(labels, ids[sizes >= SMALLEST_OBJECT])


def input_of(sam: Sam, image: TrainingImage, turn: int) -> Tensor:
    """Return the encoder's input (1, 3, side, side), scaled and padded as :class:`SamPredictor` does it."""
    resized = ResizeLongestSide(sam.image_encoder.img_size).apply_image(turned(image.image, turn))
    tensor = torch.as_tensor(resized, device=sam.device).permute(2, 0, 1).contiguous()[None]
    return sam.preprocess(tensor)
