"""The network in training: a SAM with adapted layers, its frozen beginning cached."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from segment_anything.modeling import Sam
from torch import Tensor, nn

from .base import fingerprint
from .cache import PrefixCache
from .cell import Cell
from .config import FineTuneConfig
from .continuing import starting_adapter
from .data import TrainingImage, pixels_id
from .decoder_update import DecoderUpdate
from .devices import autocast
from .encoder import split
from .fold import pointwise_part, spatial_part
from .frames import input_of
from .layers import AdaptedConv2d, AdaptedLinear
from .mask_decoder import decode
from .models import build, learned_prompts
from .seed_head import shrunk
from .targets import inject, replace_layer

#: An image and one of its eight turns.
View = tuple[TrainingImage, int]


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
    start : Adapter or None
        The adapter it goes on from, which is merged into the base.
    knew, learns : tuple of str
        What it starts with, and what it will have learned (see :func:`naslora_trainer.models.learned_prompts`).
    layers : dict of str to AdaptedLinear or AdaptedConv2d
        Adapted layers by path in the image encoder, in order.
    """

    def __init__(self, config: FineTuneConfig, device: str, scratch: Path | None = None) -> None:
        self.config, self.device = config, device
        self.start = starting_adapter(config)
        self.sam: Sam = build(config.base, self.start, device)
        self.knew = learned_prompts(config.base, self.start)
        self.learns = _to_learn(self.knew, config.alternatives)
        self.fingerprint = fingerprint(self.sam)
        self.layers: dict[str, AdaptedLinear | AdaptedConv2d] = {}
        if config.adapts_encoder:
            self.layers = inject(self.sam.image_encoder, config)
            self.sam.to(device)
        #: What a fold took out, by path.
        self._taken_out: dict[str, AdaptedLinear] = {}
        self._decoder = DecoderUpdate(self.sam.mask_decoder, config.decoder_rank if config.decoder == "lora" else None)
        first = next(iter(self.layers), None)
        self._prefix, self._suffix = split(self.sam.image_encoder, first)
        self._stem = hashlib.sha256(f"{self.fingerprint} {first}".encode()).hexdigest()[:12]
        self._names: dict[int, str] = {}
        self._cache = PrefixCache(config.cache_mb * 1024**2, scratch)

    def embed(self, views: Sequence[View]) -> Tensor:
        """Return the embeddings (B, 256, 64, 64) of views of one precision; their prefix is cached."""
        return self._suffix(self._features(views))

    def encode(self, image: TrainingImage) -> Tensor:
        """Return the embedding (1, 256, 64, 64) of an image as it is, to the bit that of the model's encoder."""
        return self.embed([(image, 0)])

    @torch.no_grad()
    def _features(self, views: Sequence[View]) -> Tensor:
        return torch.cat([self._feature(image, turn) for image, turn in views])

    def _feature(self, image: TrainingImage, turn: int) -> Tensor:
        def compute() -> Tensor:
            return self._prefix(input_of(self.sam, image, turn))

        return self._cache.get(self._key(image, turn), compute).to(self.sam.device)

    def _key(self, image: TrainingImage, turn: int) -> str:
        """Return a name for the prefix of a view: it depends on pixels, base, place of the cut and precision."""
        if id(image) not in self._names:
            self._names[id(image)] = pixels_id(image)
        precision = "bf16" if torch.is_autocast_enabled(self.sam.device.type) else "f32"
        return f"{self._names[id(image)]}-{self._stem}-{precision}-{turn}"

    @torch.no_grad()
    def seen(self, image: TrainingImage, turn: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the embedding (1, 256, 64, 64) of a view, and the picture (1, 3, 256, 256) that belongs to it;
        ``dtype`` is the precision of matrix products."""
        with autocast(self.device, dtype):
            embedding = self.embed([(image, turn)]).float()
        return embedding, shrunk(input_of(self.sam, image, turn))

    def frozen_embed(self) -> Callable[[Sequence[View]], Tensor]:
        """Return :meth:`embed` as it is now; what is trained later does not change it."""
        frozen = copy.deepcopy(self.sam.image_encoder).requires_grad_(False)
        _, suffix = split(frozen, next(iter(self.layers), None))
        return lambda views: suffix(self._features(views))

    def decode(self, embedding: Tensor, sparse: Tensor, dense: Tensor, masks: int = 4) -> tuple[Tensor, Tensor]:
        """Answer B prompts on one embedding.

        Parameters
        ----------
        embedding : Tensor
            (1, 256, 64, 64).
        sparse, dense : Tensor
            (B, N, 256) and (1, 256, 1, 1), or with mask prompts (B, 256, 64, 64): of the prompt encoder.
        masks : int
            How many of the mask decoder's masks are wanted, from the first on.

        Returns
        -------
        logits, iou : Tensor
            (B, masks, 256, 256) and (B, masks).
        """
        image_pe = self.sam.prompt_encoder.get_dense_pe()
        return decode(self.sam.mask_decoder, embedding + dense, image_pe, sparse, masks)

    def architecture_parameters(self) -> list[nn.Parameter]:
        """Return the alpha of every searched cell."""
        return [cell.alpha for cell in self._cells()] if self.config.searches else []

    def _cells(self) -> Iterator[Cell]:
        """The cells that mix operations, be it only one."""
        return (layer.cell for layer in self.layers.values() if isinstance(layer.cell, Cell))

    def projection_parameters(self) -> list[nn.Parameter]:
        """Return ``We`` and ``Wd`` of every adapted layer."""
        return [p for layer in self.layers.values() for p in (layer.down, layer.up)]

    def cell_parameters(self) -> list[nn.Parameter]:
        """Return the operation weights of every adapted layer."""
        return [p for layer in self.layers.values() for p in layer.cell.learned()]

    def decoder_parameters(self) -> list[nn.Parameter]:
        """Return what is trained of the mask decoder."""
        return self._decoder.parameters()

    def balance(self) -> Tensor | float:
        """Return the cells' own loss of the last forward pass (see :class:`ExpertsCell`), mean over layers."""
        return sum((layer.cell.balance() for layer in self.layers.values()), 0.0) / max(1, len(self.layers))

    def set_temperature(self, temperature: float) -> None:
        """Set the temperature of every searched cell."""
        for cell in self._cells():
            cell.temperature.fill_(temperature)

    def settle(self, threshold: float) -> None:
        """Freeze the architecture and drop operations less probable than ``threshold``."""
        for cell in self._cells():
            cell.alpha.requires_grad_(False)
        for layer in self.layers.values():
            layer.cell.prune(threshold)

    def to_fold(self) -> dict[str, AdaptedLinear]:
        """Return the layers that a fold changes; the cell of a convolution folds exactly as it is."""
        linear = {path: layer for path, layer in self.layers.items() if isinstance(layer, AdaptedLinear)}
        return {path: layer for path, layer in linear.items() if not layer.cell.plain}

    def architecture(self) -> dict[str, dict[str, float]]:
        """Return the probability of each operation, by layer."""
        return {path: layer.cell.summary() for path, layer in self.layers.items()}

    def fold(self, downs: dict[str, Tensor]) -> None:
        """Replace cells by the identity, with the consolidated ``We''`` (r x a) as projection, by path."""
        for path in self.to_fold():
            layer = self.layers[path]
            assert isinstance(layer, AdaptedLinear)
            plain = AdaptedLinear(layer.base, Cell(self.config.rank, ("identity",)), layer.scale, layer.rows)
            plain.to(self.sam.device)
            plain.down.data.copy_(downs[path])
            plain.up.data.copy_(layer.up.data)
            self._taken_out[path] = layer
            self._put(path, plain)

    def unfold(self, state: dict[str, Any]) -> None:
        """Undo :meth:`fold`, and go back to the :meth:`state` of before it."""
        for path, layer in self._taken_out.items():
            self._put(path, layer)
        self._taken_out = {}
        self.load(state)

    def _put(self, path: str, layer: AdaptedLinear) -> None:
        replace_layer(self.sam.image_encoder, path, layer)
        self.layers[path] = layer

    @torch.no_grad()
    def state(self) -> dict[str, Any]:
        """Return a copy of everything that is trained or chosen, for :meth:`load`."""
        layers = {
            path: {
                "down": layer.down.detach().clone(),
                "up": layer.up.detach().clone(),
                "cell": {name: value.clone() for name, value in layer.cell.state_dict().items()},
            }
            for path, layer in self.layers.items()
        }
        return {"layers": layers, "decoder": self._decoder.state()}

    @torch.no_grad()
    def load(self, state: dict[str, Any], share: float = 1.0) -> None:
        """Go back to :meth:`state` of a network of the same config, folded or not as this one is.

        Parameters
        ----------
        state : dict
            What :meth:`state` returned.
        share : float
            How far to go from what the network started as (0) to the state (1), between which weights are
            interpolated.
        """
        for path, layer in self.layers.items():
            saved = state["layers"][path]
            layer.down.copy_(saved["down"])
            layer.up.copy_(saved["up"] * share)
            layer.cell.load_state_dict(saved["cell"])
        self._decoder.load(state["decoder"], share)

    @torch.no_grad()
    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors of the adapter file (see :class:`Adapter`) for the state the network is in."""
        tensors = self._decoder.tensors()
        for path, layer in self.layers.items():
            tensors[f"lora.{path}.up"] = layer.output()
            if isinstance(layer, AdaptedConv2d):
                tensors[f"lora.{path}.down"] = layer.kernel()
                continue
            kernel = layer.cell.kernel()
            if not layer.cell.linear:
                tensors[f"lora.{path}.down"] = torch.zeros_like(layer.down)
                tensors[f"branch.{path}.down"] = layer.down
                for name, value in layer.cell.state_dict().items():
                    tensors[f"branch.{path}.cell.{name}"] = value.float()
                continue
            tensors[f"lora.{path}.down"] = pointwise_part(kernel) @ layer.down
            remainder = spatial_part(kernel)
            if remainder.any():
                tensors[f"branch.{path}.down"] = layer.down
                tensors[f"branch.{path}.kernel"] = remainder
        return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}


def _to_learn(known: tuple[str, ...], alternatives: bool | None) -> tuple[str, ...]:
    """Return the prompts that a model which knows some will have learned; None: as many masks of a click as before."""
    learns = dict.fromkeys([*known, "point"])
    if alternatives is not None:
        learns.pop("multimask", None)
    return (*learns, "multimask") if alternatives else tuple(learns)
