"""Small real images and a small real adapter."""

from __future__ import annotations

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from naslora_resources.registry import DEFAULT_MODEL
from naslora_resources.samples import sample_folder
from naslora_trainer.adapter import Adapter, AdapterMeta
from naslora_trainer.base import fingerprint
from naslora_trainer.data import TrainingImage
from naslora_trainer.targets import target_layers


@pytest.fixture(scope="session")
def nuclei() -> list[TrainingImage]:
    """Four quarters (64 px) of a labelled sample tile, with their three largest nuclei each."""
    folder = sample_folder("labelled")
    path = sorted((folder / "images").iterdir())[0]
    image = iio.imread(path)
    labels = iio.imread(folder / "masks" / path.name).astype(np.int32)
    rgb = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    corners = [(row, col) for row in (0, 64) for col in (0, 64)]
    return [
        TrainingImage(f"quarter{i}", rgb[r : r + 64, c : c + 64].copy(), _largest(labels[r : r + 64, c : c + 64]), True)
        for i, (r, c) in enumerate(corners)
    ]


@pytest.fixture
def small_vit() -> ImageEncoderViT:
    """Segment-anything's own encoder in small: blocks 0 and 2 windowed, 1 and 3 global, an 8 x 8 grid."""
    torch.manual_seed(0)
    encoder = ImageEncoderViT(
        img_size=128, depth=4, embed_dim=32, num_heads=2, out_chans=16, window_size=3, global_attn_indexes=(1, 3),
        use_rel_pos=True,
    )  # fmt: skip
    return encoder.eval()


@pytest.fixture
def small_sam(small_vit: ImageEncoderViT) -> Sam:
    """A Sam in small around it."""
    decoder = MaskDecoder(transformer_dim=16, transformer=TwoWayTransformer(2, 16, num_heads=2, mlp_dim=40))
    return Sam(small_vit, PromptEncoder(16, (8, 8), (128, 128), 16), decoder).requires_grad_(False).eval()


def _largest(labels: np.ndarray, count: int = 3) -> np.ndarray:
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.where(np.isin(labels, np.argsort(-sizes)[:count]), labels, 0).astype(np.int32)


@pytest.fixture
def random_adapter(base_sam: Sam) -> Adapter:
    """A rank-2 adapter of the last block and one decoder tensor, with random values."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for path in target_layers(base_sam.image_encoder, blocks=1):
        weight = base_sam.image_encoder.get_submodule(path).weight
        tensors[f"lora.{path}.down"] = torch.randn(2, weight.shape[1], generator=generator) * 0.02
        tensors[f"lora.{path}.up"] = torch.randn(weight.shape[0], 2, generator=generator) * 0.02
    tensors["decoder.iou_token.weight"] = torch.randn(1, 256, generator=generator) * 0.01
    meta = AdapterMeta(base=DEFAULT_MODEL, fingerprint=fingerprint(base_sam), method="lora", rank=2)
    return Adapter(tensors, meta)
