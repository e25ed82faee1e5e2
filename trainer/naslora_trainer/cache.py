"""Features of the frozen beginning of the encoder, computed once per image and augmentation."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor


class PrefixCache:
    """Tensors by key, in RAM up to a bound in bytes and beyond it on disk.

    Parameters
    ----------
    max_bytes : int
        Bound of the RAM part.
    folder : Path or None
        Where more is kept; None: what does not fit is computed again each time. Files are named by their key, so that
        a later training on the same images finds them.
    """

    def __init__(self, max_bytes: int, folder: Path | None = None) -> None:
        self._max_bytes = max_bytes
        self._folder = folder
        self._memory: dict[str, Tensor] = {}
        self.bytes = 0

    def get(self, key: str, compute: Callable[[], Tensor]) -> Tensor:
        """Return the tensor of ``key``, from RAM, disk, or as it is computed now.

        Parameters
        ----------
        key : str
            Can be a file's name; holds everything that the tensor depends on.
        compute : callable
            Returns the tensor, on the device where it is wanted.
        """
        if key in self._memory:
            return self._memory[key]
        file = None if self._folder is None else self._folder / f"{key}.safetensors"
        tensor = None if file is None else read_features(file)
        if tensor is None:
            tensor = compute().detach()
            fits = self.bytes + tensor.nbytes <= self._max_bytes
            if not fits and file is not None:
                write_features(file, tensor)
        if self.bytes + tensor.nbytes <= self._max_bytes:
            self._memory[key] = tensor
            self.bytes += tensor.nbytes
        return tensor


def read_features(file: Path) -> Tensor | None:
    """Return a tensor that :func:`write_features` wrote; None where it is missing or damaged."""
    try:
        return load_file(file)["features"] if file.exists() else None
    except (SafetensorError, OSError, KeyError):
        return None


def write_features(file: Path, tensor: Tensor) -> None:
    """Keep a tensor on disk; a full disk only costs time later."""
    temporary = file.with_name(f"{file.stem}.{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({"features": tensor.cpu().contiguous()}, temporary)
        temporary.replace(file)
    except (OSError, SafetensorError):
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
