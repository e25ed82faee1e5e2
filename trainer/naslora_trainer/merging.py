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


def _check_base(adapter: Adapter, base: Mapping[str, Tensor]) -> None:
    if fingerprint(base) != adapter.meta.fingerprint:
        raise UserError(
            f"The adapter was trained on another base model ('{adapter.meta.base}') than the one in use.",
            f"Switch to the base model '{adapter.meta.base}', or choose another adapter.",
        )


def _merged(adapter: Adapter, base: Mapping[str, Tensor]) -> dict[str, Tensor]:
    _check_base(adapter, base)
    adapter.check()
    state = {name: tensor.clone() for name, tensor in base.items()}
    for layer, (down, up) in adapter.low_rank().items():
        _add(state, f"{layer}.weight", _product(up, down))
    for name, difference in adapter.differences().items():
        _add(state, name, difference)
    return state


def _product(up: Tensor, down: Tensor) -> Tensor:
    """Return ``up @ down``, bit by bit the same on every machine: merged weights have a fingerprint.

    A matrix product of the libraries sums in an order that depends on the processor.
    """
    exact = torch.promote_types(up.dtype, torch.float32)  # sums of numbers kept in half precision
    up, down = up.to(exact), down.to(exact)
    total = up.new_zeros(len(up), *down.shape[1:])
    for column, row in zip(up.unbind(1), down.unbind(0), strict=True):
        total = total + column.reshape(-1, *[1] * row.ndim) * row
    return total


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
        weight = branch.base.weight
        replace_layer(sam.image_encoder, layer, branch.to(weight.device, weight.dtype))
    return sam.eval()


def unmerge(sam: Sam, adapter: Adapter, base: Mapping[str, Tensor] | None = None) -> Sam:
    """Undo :func:`apply` in place and return ``sam``: it is the base again, bit by bit, without branches.

    Parameters
    ----------
    sam : Sam
        As :func:`apply` returned it.
    adapter : Adapter
        What was merged into it.
    base : mapping of str to Tensor, optional
        State dict of the base, by default loaded by the adapter's base id. One kept from before :func:`apply` must be
        a copy: ``apply`` writes into the tensors of ``sam`` itself.

    Raises
    ------
    UserError
        ``base`` is not the base that the adapter belongs to; ``sam`` is then unchanged.
    """
    state = base if base is not None else load_base(adapter.meta.base).state_dict()
    _check_base(adapter, state)
    for path, module in list(sam.image_encoder.named_modules()):
        if isinstance(module, BranchLinear):
            replace_layer(sam.image_encoder, path, module.base)
    sam.load_state_dict(state, strict=True)
    return sam.eval()


def _branches(sam: Sam, adapter: Adapter) -> dict[str, BranchLinear]:
    """Return the branch layers of ``adapter`` around the layers of ``sam``, which stay where they are."""
    found = {}
    for layer in sorted({_branch_of(name) for name in adapter.tensors if name.startswith("branch.")}):
        prefix = f"branch.{layer}."
        parts = {name.removeprefix(prefix): t for name, t in adapter.tensors.items() if name.startswith(prefix)}
        try:
            found[layer] = _branch(sam, adapter, layer, parts)
        except (AttributeError, KeyError, RuntimeError, ValueError) as error:
            raise UserError(f"The adapter does not fit the base model: its branch at {layer} does not.") from error
    return found


def _branch(sam: Sam, adapter: Adapter, layer: str, parts: dict[str, Tensor]) -> BranchLinear:
    """Return the branch layer that ``parts`` make of ``layer``; a ValueError or torch's error if they do not fit."""
    base = sam.image_encoder.get_submodule(layer)
    up, down, kernel = adapter.tensors[f"lora.{layer}.up"], parts["down"], parts.get("kernel")
    rank = up.shape[1]
    if not isinstance(base, nn.Linear) or up.shape[0] != base.out_features or down.shape != (rank, base.in_features):
        raise ValueError("not the size of the layer")
    if kernel is None:
        if adapter.meta.rank != rank:
            raise ValueError("not the rank of the cell")
        cell = _cell(adapter, parts)
    else:
        side = kernel.shape[-1] if kernel.ndim == 4 else 0
        if kernel.shape != (rank, rank, side, side) or side % 2 == 0 or len(parts) > 2:
            raise ValueError("not a kernel of that rank, or a cell beside it")
        cell = FixedKernel(kernel)
    windows = windows_of(sam.image_encoder, layer) if adapter.meta.cell_sees == "map" else 1
    return BranchLinear(base, down, up, cell, windows)


def _branch_of(name: str) -> str:
    """Return the layer of a tensor ``branch.<layer>.down``, ``.kernel`` or ``.cell.<name>``."""
    return name.removeprefix("branch.").partition(".cell.")[0].removesuffix(".down").removesuffix(".kernel")


def _cell(adapter: Adapter, parts: dict[str, Tensor]) -> nn.Module:
    """Return the cell of a branch that is not linear, as it was trained."""
    meta = adapter.meta
    cell = make_cell(meta.method, meta.rank, meta.operations, meta.partial)
    cell.load_state_dict({n.removeprefix("cell."): t for n, t in parts.items() if n.startswith("cell.")}, strict=True)
    return cell.requires_grad_(False).eval()
