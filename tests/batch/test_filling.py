from __future__ import annotations

import numpy as np
import pytest
import torch
from segment_anything.modeling import Sam

from naslora_napari.batch.filling import batch_for
from naslora_napari.batch.segmenter import Segmenter
from naslora_napari.demo.measure import sample_images
from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.train import finetune


def test_a_processor_sees_one_image_at_a_time(base_sam: Sam) -> None:
    assert batch_for(base_sam) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
def test_a_gpu_sees_several_and_finds_what_a_processor_finds() -> None:
    tiles = sample_images("labelled")
    adapter = finetune(FineTuneConfig(steps=20, shown_images=0, device="cuda"), tiles)
    on_gpu, on_cpu = (Segmenter(DEFAULT_MODEL, adapter, device, "float32") for device in ("cuda", "cpu"))
    assert batch_for(on_gpu.sam) > 1
    for tile in tiles[:2]:
        one, other = on_gpu.segment(tile.image).labels > 0, on_cpu.segment(tile.image).labels > 0
        assert one.any() and np.logical_and(one, other).sum() > 0.95 * np.logical_or(one, other).sum()
