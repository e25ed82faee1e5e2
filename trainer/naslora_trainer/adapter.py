"""The adapter file: what a fine-tune learned, in one ``.safetensors`` file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .adapter_meta import AdapterMeta as AdapterMeta
from .adapter_meta import damaged, read_header
from .errors import UserError
from .files import atomic_write
from .seed_head import PREFIX

#: What a tensor's name begins with, and for low-rank updates the part of the model that holds the layer.
_LOW_RANK = {"lora": "image_encoder", "decoder_lora": "mask_decoder"}
_KINDS = (*_LOW_RANK, "branch", "decoder", "head")
_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


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
        ``decoder_lora.<layer>.down``, ``.up``: a low-rank update of that layer of it. ``head.<name>``: of the head that
        finds objects (:class:`naslora_trainer.seed_head.SeedHead`), which is no part of a SAM and is not merged.
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

    @property
    def one_object(self) -> bool:
        """True when each image that it learned from had one object, in as many pieces as it may be."""
        return self.meta.report.get("one_object") is True

    @property
    def guesses_background(self) -> bool:
        """True when it finds objects by itself, but nobody told it of an area that there is nothing more in it."""
        return self.meta.report.get("background") is False and any(name.startswith(PREFIX) for name in self.tensors)

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
                metadata = {"naslora": text, "sha256": _digest(text, tensors), "id": self.id}
                save_file(tensors, temporary, metadata=metadata)
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"The adapter could not be saved to {path}: {error}.",
                "Free some disk space or choose another place.",
            ) from error

    @classmethod
    def load(cls, path: Path | str, base_fingerprint: str | None = None, called: str = "") -> Adapter:
        """Read and check an adapter file; nothing is unpickled.

        Parameters
        ----------
        path : Path or str
            The file.
        base_fingerprint : str, optional
            Fingerprint of the base model in use; an adapter of another base is refused.
        called : str
            How errors name the file; by default by its file name.

        Raises
        ------
        UserError
            The file is missing, too large, damaged, not an adapter, of a newer layout or of another base; or as
            :meth:`check`.
        """
        path = Path(path)
        called = called or path.name
        header = read_header(path, called)
        meta, tensors = header.meta, _read(path, called)
        if header.sha256 and header.sha256 != _digest(header.text, tensors):
            raise damaged(called)
        if base_fingerprint is not None and meta.fingerprint != base_fingerprint:
            raise UserError(
                f"{called} was trained on another base model ('{meta.base}') than the one in use.",
                f"Switch to the base model '{meta.base}', or choose another adapter.",
            )
        adapter = cls(tensors, meta)
        if header.id and header.id != adapter.id:
            raise damaged(called)
        adapter.check(called)
        return adapter


def _read(path: Path, called: str) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise damaged(called) from error


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
