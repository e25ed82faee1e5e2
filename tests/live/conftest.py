"""A real image, and adapters that change the real model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything.modeling import Sam

from naslora_resources.registry import DEFAULT_MODEL
from naslora_resources.samples import sample_folder
from naslora_trainer.adapter import Adapter, AdapterMeta
from naslora_trainer.base import fingerprint
from naslora_trainer.images import list_images, read_image, read_labels


@pytest.fixture(scope="session")
def tile() -> Path:
    """The first labelled sample tile."""
    return list_images(sample_folder("labelled") / "images")[0]


@pytest.fixture(scope="session")
def image(tile: Path) -> np.ndarray:
    return read_image(tile)


@pytest.fixture(scope="session")
def labels(tile: Path) -> np.ndarray:
    return read_labels(sample_folder("labelled") / "masks" / tile.name)


@pytest.fixture(scope="session")
def nucleus(labels: np.ndarray) -> np.ndarray:
    """The largest nucleus of the tile."""
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == int(sizes.argmax())


@pytest.fixture
def adapter(base_sam: Sam) -> Adapter:
    """It shifts the mask decoder's answer so that every mask is another one."""
    state = base_sam.mask_decoder.state_dict()
    tensors = {"decoder.output_upscaling.3.bias": torch.full_like(state["output_upscaling.3.bias"], 0.3)}
    meta = AdapterMeta(base=DEFAULT_MODEL, fingerprint=fingerprint(base_sam), method="decoder-only", rank=1)
    return Adapter(tensors, meta)
