"""The network in training: a SAM with adapted layers, its frozen beginning cached."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from segment_anything.modeling import Sam
from torch import Tensor, nn

from .base import fingerprint, load_base
from .cache import PrefixCache
from .config import FineTuneConfig
from .data import TrainingImage
from .encoder import split
from .fold import LayerFold, pointwise_part, spatial_part
from .frames import input_of
from .layers import AdaptedLinear, inject, replace_layer
from .mask_decoder import decode
from .models import learned_prompts


class TrainableSam:
    """A base model made trainable as a config says.

    Parameters
    ----------
    config : FineTuneConfig
        Method, rank, blocks, learning rates, cache size.
    device : str
        A torch device name.
    scratch : Path or None
        Folder for what the prefix cache spills.

    Attributes
    ----------
    sam : Sam
        The model; it answers prompts at any time.
    learns : tuple of str
        What it will have learned (see :func:`naslora_trainer.models.learned_prompts`).
    layers : dict of str to AdaptedLinear
        Adapted layers by path in the image encoder, in order.
    """

    def __init__(self, config: FineTuneConfig, device: str, scratch: Path | None = None) -> None:
        self.config = config
        self.sam: Sam = load_base(config.base, device)
        self.learns = learned_prompts(config.base)
        if "point" not in self.learns:
            self.learns = ("point", *self.learns)
        self.fingerprint = fingerprint(self.sam)
        self.layers: dict[str, AdaptedLinear] = {}
        if config.operations:
            scale = config.lora_alpha / config.rank
            self.layers = inject(self.sam.image_encoder, config.blocks, config.rank, scale, config.operations)
            self.sam.to(device)
        self._base_decoder = {name: p.detach().clone() for name, p in self.sam.mask_decoder.named_parameters()}
        self.sam.mask_decoder.requires_grad_(True)
        self._prefix, self._suffix = split(self.sam.image_encoder, next(iter(self.layers), None))
        self._cache = PrefixCache(config.cache_mb * 1024**2, scratch)

    def embed(self, image: TrainingImage, turn: int) -> Tensor:
        """Return the embedding (1, 256, 64, 64) of one of the eight turns of ``image``; its prefix is cached."""
        return self._suffix(self._features(image, turn))

    @torch.no_grad()
    def _features(self, image: TrainingImage, turn: int) -> Tensor:
        return self._cache.get((image.name, turn), lambda: self._prefix(input_of(self.sam, image, turn)))

    def frozen_embed(self) -> Callable[[TrainingImage, int], Tensor]:
        """Return :meth:`embed` as it is now; what is trained later does not change it."""
        frozen = copy.deepcopy(self.sam.image_encoder).requires_grad_(False)
        _, suffix = split(frozen, next(iter(self.layers), None))
        return lambda image, turn: suffix(self._features(image, turn))

    def decode(self, embedding: Tensor, sparse: Tensor, masks: int = 4) -> tuple[Tensor, Tensor]:
        """Return the first logits (B, masks, 256, 256) and predicted IoU (B, masks) for B prompts on one embedding."""
        encoder = self.sam.prompt_encoder
        image = embedding + encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        return decode(self.sam.mask_decoder, image, encoder.get_dense_pe(), sparse, masks)

    def architecture_parameters(self) -> list[nn.Parameter]:
        """Return the alpha of every cell."""
        return [layer.cell.alpha for layer in self.layers.values()]

    def adapter_parameters(self) -> list[nn.Parameter]:
        """Return projections and operation weights of every adapted layer."""
        return list(self._adapter_parameters())

    def _adapter_parameters(self) -> Iterator[nn.Parameter]:
        for layer in self.layers.values():
            yield from (layer.down, layer.up, *(p for p in layer.cell.weights if p.numel()))

    def decoder_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the mask decoder."""
        return list(self.sam.mask_decoder.parameters())

    def needs_fold(self) -> bool:
        """True when some cell is more than the identity."""
        return any(layer.cell.operations != ("identity",) for layer in self.layers.values())

    def architecture(self) -> dict[str, dict[str, float]]:
        """Return the probability of each operation, by layer."""
        return {path: layer.cell.summary() for path, layer in self.layers.items()}

    def fold(self, folds: dict[str, LayerFold]) -> None:
        """Replace every cell by the identity, with the consolidated ``We''`` as projection."""
        for path, folded in folds.items():
            layer = self.layers[path]
            plain = AdaptedLinear(layer.base, self.config.rank, layer.scale, ("identity",)).to(self.sam.device)
            plain.down.data.copy_(folded.down)
            plain.up.data.copy_(layer.up.data)
            replace_layer(self.sam.image_encoder, path, plain)
            self.layers[path] = plain

    @torch.no_grad()
    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors of the adapter file (see :class:`Adapter`) for the state the network is in."""
        tensors: dict[str, Tensor] = {}
        for path, layer in self.layers.items():
            kernel = layer.cell.kernel()
            remainder = spatial_part(kernel)
            tensors[f"lora.{path}.down"] = pointwise_part(kernel) @ layer.down
            tensors[f"lora.{path}.up"] = layer.scale * layer.up
            if remainder.any():
                tensors[f"branch.{path}.down"] = layer.down.clone()
                tensors[f"branch.{path}.kernel"] = remainder
        for name, parameter in self.sam.mask_decoder.named_parameters():
            tensors[f"decoder.{name}"] = parameter - self._base_decoder[name]
        return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
