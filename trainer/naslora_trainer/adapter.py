"""The adapter file: what a fine-tune learned, in one ``.safetensors`` file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .errors import UserError
from .files import atomic_write

#: Version of the file's layout.
ADAPTER_VERSION = 1
#: A larger file is refused before it is read, in bytes.
MAX_BYTES = 2 * 1024**3
#: Nobody trains more; a damaged file must not make a cell that fills the memory.
MAX_RANK = 1024
#: What a tensor's name begins with, and for low-rank updates the part of the model that holds the layer.
_LOW_RANK = {"lora": "image_encoder", "decoder_lora": "mask_decoder"}
_KINDS = (*_LOW_RANK, "branch", "decoder")
_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


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
    rank: int = Field(ge=1, le=MAX_RANK)
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
        return _digest(self.meta.fingerprint, self.tensors)[:12]

    @property
    def has_branch(self) -> bool:
        """True when a part of the update stayed a branch, so that it is not a stock state dict."""
        return any(name.startswith("branch.") for name in self.tensors)

    def low_rank(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return ``(down, up)`` of each low-rank update, by the path of its layer in a Sam."""
        found = {}
        for name, down in self.tensors.items():
            kind, _, rest = name.partition(".")
            if kind in _LOW_RANK and rest.endswith(".down"):
                found[f"{_LOW_RANK[kind]}.{rest.removesuffix('.down')}"] = (down, self.tensors[_partner(name)])
        return found

    def differences(self) -> dict[str, Tensor]:
        """Return what is added as it is to a tensor of a Sam, by the tensor's name there."""
        kind = "decoder."
        return {f"mask_{name}": tensor for name, tensor in self.tensors.items() if name.startswith(kind)}

    def check(self, what: str = "The adapter") -> None:
        """Refuse tensors that cannot be part of an adapter, whatever its base.

        Parameters
        ----------
        what : str
            How the error names the adapter.

        Raises
        ------
        UserError
            A tensor is of an unknown kind, is not of floating point or not finite, or is half of a low-rank update.
        """
        for name, tensor in self.tensors.items():
            kind, _, rest = name.partition(".")
            if kind not in _KINDS or not rest:
                raise UserError(f"{what} holds a tensor of an unknown kind ({name}).")
            _check_values(name, tensor, what)
            if kind in _LOW_RANK:
                _check_pair(name, self.tensors, what)

    def save(self, path: Path | str) -> None:
        """Write the file atomically.

        Raises
        ------
        UserError
            As :meth:`check`, or the file cannot be written.
        """
        self.check("The new adapter")
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()}
        text = self.meta.model_dump_json()
        try:
            with atomic_write(Path(path)) as temporary:
                save_file(tensors, temporary, metadata={"naslora": text, "sha256": _digest(text, tensors)})
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
            The file is missing, too large, damaged, not an adapter, of a newer layout or of another base; or as
            :meth:`check`.
        """
        path = Path(path)
        tensors, metadata = _read(path)
        meta = _meta_of(path, metadata)
        saved = metadata.get("sha256")  # the first files had none
        if saved is not None and saved != _digest(metadata["naslora"], tensors):
            raise _damaged(path)
        if base_fingerprint is not None and meta.fingerprint != base_fingerprint:
            raise UserError(
                f"{path.name} was trained on another base model ('{meta.base}') than the one in use.",
                f"Switch to the base model '{meta.base}', or choose another adapter.",
            )
        adapter = cls(tensors, meta)
        adapter.check(path.name)
        return adapter


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise UserError(f"The adapter {path} does not exist.")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path.name} is larger than an adapter can be ({MAX_BYTES // 1024**3} GiB).")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> UserError:
    return UserError(f"{path.name} is damaged or not an adapter file.", "Export it again from where it came from.")


def _meta_of(path: Path, metadata: dict[str, str]) -> AdapterMeta:
    try:
        values = json.loads(metadata["naslora"])
        if isinstance(values, dict) and isinstance(values.get("version"), int) and values["version"] > ADAPTER_VERSION:
            raise UserError(f"{path.name} was written by a newer naslora-napari.", "Update naslora-napari to use it.")
        return AdapterMeta.model_validate(values)
    except (KeyError, ValueError, RecursionError) as error:  # pydantic's ValidationError is a ValueError
        raise UserError(
            f"{path.name} is not a naslora-napari adapter.", "Choose a file that Fine-tune or Export made."
        ) from error


def _check_values(name: str, tensor: Tensor, what: str) -> None:
    if tensor.dtype not in _DTYPES:
        raise UserError(f"{what} holds numbers of a type that no adapter has ({name}: {tensor.dtype}).")
    if not torch.isfinite(tensor).all():
        raise UserError(f"{what} holds values that are not finite ({name}).", "Do not use it; fine-tune again.")


def _check_pair(name: str, tensors: Mapping[str, Tensor], what: str) -> None:
    """Check that both halves of a low-rank update are there and that their ranks agree."""
    if not name.endswith((".down", ".up")):
        raise UserError(f"{what} holds a tensor of an unknown kind ({name}).")
    partner = tensors.get(_partner(name))
    if partner is None:
        raise UserError(f"{what} is incomplete: {_partner(name)} is missing.")
    down, up = (tensors[name], partner) if name.endswith(".down") else (partner, tensors[name])
    if up.ndim != 2 or down.ndim not in (2, 4) or not 0 < len(down) == up.shape[1] or up.dtype != down.dtype:
        raise UserError(f"{what} is not usable: {name} and {_partner(name)} do not fit each other.")


def _partner(name: str) -> str:
    """Return the name of the other half of a low-rank update."""
    layer, _, half = name.rpartition(".")
    return f"{layer}.{'up' if half == 'down' else 'down'}"


def _digest(start: str, tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a text, and names, shapes, types and bytes of tensors."""
    digest = hashlib.sha256(start.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tuple(tensor.shape)}|{tensor.dtype}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
