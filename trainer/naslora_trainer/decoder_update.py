"""What is trained in the mask decoder: all of it, or low-rank updates of its matrices."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from segment_anything.modeling import MaskDecoder
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """``W -> W + up @ down``, at first ``W``; a parametrization (see :mod:`torch.nn.utils.parametrize`).

    Parameters
    ----------
    weight : Tensor
        ``W`` (b x a).
    rank : int
        r.
    """

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(rank, weight.shape[1], device=weight.device))
        self.up = nn.Parameter(torch.zeros(weight.shape[0], rank, device=weight.device))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the updated weight."""
        return weight + self.up @ self.down


class DecoderUpdate:
    """Makes a mask decoder trainable and knows what it learned.

    Parameters
    ----------
    decoder : MaskDecoder
        Its matrices are parametrized in place where ``rank`` is given.
    rank : int or None
        None: every weight is trained. Else matrices get an update of that rank, and only what is small beside them
        (tokens, norms, biases, the upscaling) is trained whole.
    """

    def __init__(self, decoder: MaskDecoder, rank: int | None) -> None:
        self._low: dict[str, LowRank] = {}
        decoder.requires_grad_(True)
        self._whole = dict(decoder.named_parameters())
        if rank is not None:
            for name, module in list(decoder.named_modules()):
                if isinstance(module, nn.Linear) and min(module.weight.shape) > 2 * rank:
                    low = LowRank(module.weight, rank)
                    self._whole.pop(f"{name}.weight").requires_grad_(False)
                    parametrize.register_parametrization(module, "weight", low)
                    self._low[name] = low
        self._before = {name: p.detach().clone() for name, p in self._whole.items()}

    def parameters(self) -> list[nn.Parameter]:
        """Return what is trained."""
        low = [p for update in self._low.values() for p in (update.down, update.up)]
        return [*self._whole.values(), *low]

    def state(self) -> dict[str, Tensor]:
        """Return a copy of what is trained, for :meth:`load`."""
        low = {f"{name}.{part}": p for name, low in self._low.items() for part, p in low.named_parameters()}
        return {name: p.detach().clone() for name, p in (self._whole | low).items()}

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor], share: float = 1.0) -> None:
        """Go to a point between what the decoder started as (``share`` 0) and a :meth:`state` (1)."""
        for name, weight in self._whole.items():
            weight.copy_(self._before[name].lerp(state[name].to(weight.device), share))
        for name, low in self._low.items():
            low.down.copy_(state[f"{name}.down"])
            low.up.copy_(state[f"{name}.up"] * share)

    def tensors(self) -> dict[str, Tensor]:
        """Return what was learned, as it stands in an adapter file: ``decoder.<name>``, ``decoder_lora.<layer>.*``."""
        tensors = {f"decoder.{name}": p - self._before[name] for name, p in self._whole.items()}
        for name, low in self._low.items():
            tensors[f"decoder_lora.{name}.down"], tensors[f"decoder_lora.{name}.up"] = low.down, low.up
        return tensors
