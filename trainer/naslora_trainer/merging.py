"""From base and adapter to a model."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from segment_anything.modeling import Sam
from torch import Tensor, nn

from .adapter import Adapter
from .base import fingerprint, load_base
from .errors import UserError
from .layers import BranchLinear, FixedKernel
from .targets import make_cell, replace_layer, windows_of

#: Where the updates of a kind belong.
_LOW_RANK = {"lora": "image_encoder", "decoder_lora": "mask_decoder"}


def merge(adapter: Adapter, base: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Return the stock SAM state dict of base + adapter; it loads strictly into ``segment_anything``.

    Parameters
    ----------
    adapter : Adapter
        Without a branch.
    base : mapping of str to Tensor, optional
        State dict of the base; by default it is loaded by the adapter's base id. It is not changed.

    Raises
    ------
    UserError
        The adapter belongs to another base, does not fit it, is not finite, or keeps a branch, which a stock
        state dict cannot hold.
    """
    if adapter.has_branch:
        raise UserError(
            "This adapter keeps a spatial branch, which a stock SAM checkpoint cannot hold.",
            "Use the adapter file itself, or fine-tune again with a larger fold tolerance.",
        )
    return _merged(adapter, base if base is not None else load_base(adapter.meta.base).state_dict())


def _merged(adapter: Adapter, base: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if fingerprint(base) != adapter.meta.fingerprint:
        raise UserError(
            f"The adapter was trained on another base model ('{adapter.meta.base}') than the one in use.",
            f"Switch to the base model '{adapter.meta.base}', or choose another adapter.",
        )
    state = {name: tensor.clone() for name, tensor in base.items()}
    for name, tensor in adapter.tensors.items():
        kind, _, rest = name.partition(".")
        if kind in _LOW_RANK and rest.endswith(".down"):
            layer = rest.removesuffix(".down")
            up = adapter.tensors.get(f"{kind}.{layer}.up")
            if up is None or up.shape[1:] != tensor.shape[:1]:
                raise UserError(f"The adapter is incomplete: {kind}.{layer}.up is missing or does not fit.")
            _add(state, f"{_LOW_RANK[kind]}.{layer}.weight", torch.tensordot(up, tensor, dims=1))
        elif kind == "decoder":
            _add(state, f"mask_decoder.{rest}", tensor)
        elif kind not in (*_LOW_RANK, "branch"):
            raise UserError(f"The adapter holds a tensor of an unknown kind ({name}).")
    return state


def _add(state: dict[str, Tensor], name: str, delta: Tensor) -> None:
    weight = state.get(name)
    if weight is None or weight.shape != delta.shape:
        raise UserError(f"The adapter does not fit the base model: {name} is missing or has another shape.")
    merged = weight + delta.to(weight)
    if not torch.isfinite(merged).all():
        raise UserError(f"Merging gives values that are not finite in {name}.", "Do not use this adapter.")
    state[name] = merged


def apply(sam: Sam, adapter: Adapter) -> Sam:
    """Merge ``adapter`` into ``sam`` in place, with its branches attached if it has some, and return it.

    Raises
    ------
    UserError
        As :func:`merge`; ``sam`` is then unchanged.
    """
    state = _merged(adapter, sam.state_dict())
    branches = _branches(sam, adapter)
    sam.load_state_dict(state, strict=True)
    for layer, branch in branches.items():
        replace_layer(sam.image_encoder, layer, branch.to(sam.device))
    return sam.eval()


def _branches(sam: Sam, adapter: Adapter) -> dict[str, BranchLinear]:
    """Return the branch layers of ``adapter`` around the layers of ``sam``, which stay where they are."""
    found = {}
    for layer in sorted({_branch_of(name) for name in adapter.tensors if name.startswith("branch.")}):
        prefix = f"branch.{layer}."
        parts = {name.removeprefix(prefix): t for name, t in adapter.tensors.items() if name.startswith(prefix)}
        try:
            base = sam.image_encoder.get_submodule(layer)
            assert isinstance(base, nn.Linear)
            cell = FixedKernel(parts["kernel"]) if "kernel" in parts else _cell(adapter, parts)
            windows = windows_of(sam.image_encoder, layer) if adapter.meta.cell_sees == "map" else 1
            found[layer] = BranchLinear(base, parts["down"], adapter.tensors[f"lora.{layer}.up"], cell, windows)
        except (AttributeError, AssertionError, KeyError, RuntimeError) as error:
            raise UserError(f"The adapter does not fit the base model: its branch at {layer} does not.") from error
    return found


def _branch_of(name: str) -> str:
    """Return the layer of a tensor ``branch.<layer>.down``, ``.kernel`` or ``.cell.<name>``."""
    return name.removeprefix("branch.").partition(".cell.")[0].removesuffix(".down").removesuffix(".kernel")


def _cell(adapter: Adapter, parts: dict[str, Tensor]) -> nn.Module:
    """Return the cell of a branch that is not linear, as it was trained."""
    meta = adapter.meta
    cell = make_cell(meta.method, meta.rank, meta.operations, meta.partial)
    cell.load_state_dict({n.removeprefix("cell."): t for n, t in parts.items() if n.startswith("cell.")}, strict=True)
    return cell.requires_grad_(False).eval()
