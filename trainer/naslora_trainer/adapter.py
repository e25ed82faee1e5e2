"""The adapter file: what a fine-tune learned, in one ``.safetensors`` file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .errors import UserError
from .files import atomic_write

#: Version of the file's layout.
ADAPTER_VERSION = 1
#: A larger file is refused before it is read, in bytes.
MAX_BYTES = 2 * 1024**3


class AdapterMeta(BaseModel):
    """What an adapter says of itself.

    Attributes
    ----------
    version : int
        Of the file's layout.
    base, fingerprint : str
        Id and fingerprint of the base model that it belongs to.
    method, rank : str, int
        How it was trained.
    operations, partial, cell_sees : tuple of str, int, str
        Of its cells (see :class:`FineTuneConfig`); a branch is rebuilt from them.
    prompts : tuple of str
        What the merged model has learned: ``point``, ``box``, ``multimask``
        (see :func:`naslora_trainer.models.learned_prompts`).
    architecture : dict
        Probability of each operation, by layer.
    report : dict
        Summary of training, fold and validation.
    created : str
        ISO 8601, UTC.
    """

    model_config = ConfigDict(frozen=True)

    version: int = Field(default=ADAPTER_VERSION, ge=1)
    base: str
    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")
    method: str
    rank: int = Field(ge=1)
    operations: tuple[str, ...] = ()
    partial: int = Field(default=1, ge=1)
    cell_sees: Literal["window", "map"] = "window"
    prompts: tuple[str, ...] = ("point", "box")
    architecture: dict[str, dict[str, float]] = Field(default_factory=dict)
    report: dict[str, Any] = Field(default_factory=dict)
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


@dataclass(frozen=True)
class Adapter:
    """Tensors of an adapter and its metadata.

    Attributes
    ----------
    tensors : dict
        ``lora.<layer>.down`` (r x a; for a convolution r, a, k, k) and ``lora.<layer>.up`` (b x r, with the scale in
        it): the layer's weight becomes ``W0 + up @ down``. ``branch.<layer>.down`` (r x a) and
        ``branch.<layer>.kernel`` (r, r, k, k), or for a cell that is not linear ``branch.<layer>.cell.<name>``: only
        where something was kept as a branch. ``decoder.<name>``: what is added to that tensor of the mask decoder;
        ``decoder_lora.<layer>.down``, ``.up``: a low-rank update of that layer of it.
        Layers are named by their path in the image encoder.
    meta : AdapterMeta
    """

    tensors: dict[str, Tensor]
    meta: AdapterMeta

    @property
    def id(self) -> str:
        """12 hex digits of the SHA-256 of the tensors and the base they belong to."""
        digest = hashlib.sha256(self.meta.fingerprint.encode())
        for name in sorted(self.tensors):
            tensor = self.tensors[name].contiguous()
            digest.update(f"{name}|{tuple(tensor.shape)}|{tensor.dtype}|".encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()[:12]

    @property
    def has_branch(self) -> bool:
        """True when a part of the update stayed a branch, so that it is not a stock state dict."""
        return any(name.startswith("branch.") for name in self.tensors)

    def save(self, path: Path | str) -> None:
        """Write the file atomically.

        Raises
        ------
        UserError
            A value is not finite, or the file cannot be written.
        """
        _check_finite(self.tensors, "The new adapter")
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()}
        try:
            with atomic_write(Path(path)) as temporary:
                save_file(tensors, temporary, metadata={"naslora": self.meta.model_dump_json()})
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"The adapter could not be saved to {path}: {error}.",
                "Free some disk space or choose another place.",
            ) from error

    @classmethod
    def load(cls, path: Path | str, base_fingerprint: str | None = None) -> Adapter:
        """Read and check an adapter file; nothing is unpickled.

        Parameters
        ----------
        path : Path or str
            The file.
        base_fingerprint : str, optional
            Fingerprint of the base model in use; an adapter of another base is refused.

        Raises
        ------
        UserError
            The file is missing, too large, damaged, not an adapter, of a newer layout, not finite, or of another base.
        """
        path = Path(path)
        tensors, metadata = _read(path)
        meta = _meta_of(path, metadata)
        if base_fingerprint is not None and meta.fingerprint != base_fingerprint:
            raise UserError(
                f"{path.name} was trained on another base model ('{meta.base}') than the one in use.",
                f"Switch to the base model '{meta.base}', or choose another adapter.",
            )
        _check_finite(tensors, path.name)
        return cls(tensors, meta)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise UserError(f"The adapter {path} does not exist.")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path.name} is larger than an adapter can be ({MAX_BYTES // 1024**3} GiB).")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{path.name} is damaged or not an adapter file.", "Export it again from where it came from."
        ) from error


def _meta_of(path: Path, metadata: dict[str, str]) -> AdapterMeta:
    try:
        values = json.loads(metadata["naslora"])
        if isinstance(values, dict) and isinstance(values.get("version"), int) and values["version"] > ADAPTER_VERSION:
            raise UserError(f"{path.name} was written by a newer naslora-napari.", "Update naslora-napari to use it.")
        return AdapterMeta.model_validate(values)
    except (KeyError, json.JSONDecodeError, ValidationError) as error:
        raise UserError(
            f"{path.name} is not a naslora-napari adapter.", "Choose a file that Fine-tune or Export made."
        ) from error


def _check_finite(tensors: dict[str, Tensor], what: str) -> None:
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
            raise UserError(f"{what} holds values that are not finite ({name}).", "Do not use it; fine-tune again.")
