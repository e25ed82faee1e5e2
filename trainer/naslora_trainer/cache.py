"""Features of the frozen beginning of the encoder, computed once per image and augmentation."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path

import torch
from torch import Tensor


class PrefixCache:
    """Tensors by key, in RAM up to a bound in bytes and beyond it on disk.

    Parameters
    ----------
    max_bytes : int
        Bound of the RAM part.
    folder : Path or None
        Where more is kept; None: what does not fit is computed again each time.
    """

    def __init__(self, max_bytes: int, folder: Path | None = None) -> None:
        self._max_bytes = max_bytes
        self._folder = folder
        self._memory: dict[Hashable, Tensor] = {}
        self._files: dict[Hashable, Path] = {}
        self.bytes = 0

    def get(self, key: Hashable, compute: Callable[[], Tensor]) -> Tensor:
        """Return the tensor of ``key``, on the device where ``compute`` made it the first time."""
        if key in self._memory:
            return self._memory[key]
        if key in self._files:
            return torch.load(self._files[key], weights_only=True)
        tensor = compute().detach()
        size = tensor.element_size() * tensor.numel()
        if self.bytes + size <= self._max_bytes:
            self._memory[key] = tensor
            self.bytes += size
        elif self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._files[key] = self._folder / f"{len(self._files):06d}.pt"
            torch.save(tensor, self._files[key])
        return tensor
