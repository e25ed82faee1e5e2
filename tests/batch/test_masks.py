"""Masks that are made only where they are, are those that segment-anything makes of the whole image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from segment_anything.modeling import Sam
from segment_anything.utils.amg import mask_to_rle_pytorch
from segment_anything.utils.transforms import ResizeLongestSide

from naslora_napari.batch.automask import _crop
from naslora_napari.batch.masks import Upscaling


@pytest.mark.parametrize("shape", [(97, 300), (300, 41), (256, 256), (700, 512), (3, 2)])
def test_the_same_pixels_as_from_the_whole_image(litemedsam: Sam, shape: tuple[int, int]) -> None:
    torch.manual_seed(shape[0])
    coarse = torch.randn(1, 6, 9, 9)
    coarse[0, 4], coarse[0, 5] = -1, 1  # nothing, and everything
    low = torch.nn.functional.interpolate(coarse - 0.6 * (torch.arange(6) < 4)[:, None, None], 256, mode="bicubic")[0]
    seen = ResizeLongestSide.get_preprocess_shape(*shape, litemedsam.image_encoder.img_size)
    whole = litemedsam.postprocess_masks(low[:, None], seen, shape)[:, 0] > litemedsam.mask_threshold
    upscaling = Upscaling(litemedsam, seen, shape)
    for logits, expected in zip(low, whole.numpy(), strict=True):
        mask, found = upscaling.mask(logits), np.zeros(shape, bool)
        found[mask.window] = mask.pixels
        assert (found != expected).mean() < 1e-4  # rounding, at logits of zero
    assert not upscaling.mask(low[4]).pixels.size and upscaling.mask(low[5]).pixels.all()


def test_a_mask_of_the_generator_is_cropped_whatever_the_numbers_of_its_box_are() -> None:
    drawn = torch.zeros(1, 20, 30, dtype=torch.bool)
    drawn[0, 4:12, 6:19] = True
    (rle,) = mask_to_rle_pytorch(drawn)
    for box in ([6, 4, 12, 7], [6.0, 4.0, 12.0, 7.0]):  # floats where other prompts found nothing
        found = _crop({"bbox": box, "segmentation": rle})
        whole = np.zeros((20, 30), bool)
        whole[found.window] = found.pixels
        assert (whole == drawn[0].numpy()).mean() > 0.99  # the corners are rounded
