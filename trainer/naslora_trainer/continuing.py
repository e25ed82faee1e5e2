"""Going on from an adapter: a new one is trained on base + adapter, and one file holds what both do."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from .adapter import Adapter
from .config import FineTuneConfig
from .errors import UserError
from .operations import OPERATIONS
from .seed_head import PREFIX


def starting_adapter(config: FineTuneConfig) -> Adapter | None:
    """Return the adapter that a fine-tune goes on from, None where it starts from the base.

    Raises
    ------
    UserError
        The adapter cannot be read or keeps a branch, or ``config`` trains cells that are not linear: what these do
        could not be written into one file with it.
    """
    if not config.start:
        return None
    adapter = Adapter.load(Path(config.start))
    if adapter.has_branch:
        raise UserError(
            f"{Path(config.start).name} keeps a spatial branch, from which a fine-tune cannot go on.",
            "Fine-tune from the base model.",
        )
    if config.method == "conv-lora-experts" or not all(OPERATIONS[name].linear for name in config.operations):
        raise UserError(
            "A fine-tune with operations that are not linear cannot go on from an adapter.",
            "Choose linear operations, or fine-tune from the base model.",
        )
    return adapter


def compose(first: Adapter, second: Adapter) -> Adapter:
    """Return the adapter that does what ``second`` does on the base with ``first`` merged into it.

    All that an adapter holds is added to a weight, so low-rank updates of a layer are put side by side (their ranks add
    up) and differences are summed: exact, to rounding. A head that finds objects is that of ``second`` or none: the one
    of ``first`` was trained on other embeddings.

    Parameters
    ----------
    first : Adapter
        Without a branch.
    second : Adapter
        Trained on base + ``first``. It may keep a branch with a kernel.

    Returns
    -------
    Adapter
        Of the base of ``first``, with what ``second`` tells of itself; ``report["start"]`` is the id of ``first``.
    """
    tensors = {name: tensor for name, tensor in first.tensors.items() if not name.startswith(PREFIX)}
    for name, tensor in second.tensors.items():
        if name not in tensors:
            tensors[name] = tensor
        elif name.endswith(".up"):
            tensors[name] = torch.cat([tensors[name], tensor], dim=1)
        elif name.endswith(".down"):
            tensors[name] = torch.cat([tensors[name], tensor])
        else:
            tensors[name] = tensors[name] + tensor
    for name in [name for name in second.tensors if name.startswith("branch.")]:
        layer = name.removeprefix("branch.").rpartition(".")[0]
        before = tensors[f"lora.{layer}.up"].shape[1] - second.tensors[f"lora.{layer}.up"].shape[1]
        tensors[name] = _behind(second.tensors[name], before)
    meta = second.meta.model_copy(
        update={
            "fingerprint": first.meta.fingerprint,
            "rank": first.meta.rank + second.meta.rank,
            "report": second.meta.report | {"start": first.id},
        }
    )
    return Adapter(tensors, meta)


def _behind(tensor: Tensor, channels: int) -> Tensor:
    """Return a branch's ``down`` (r, a) or ``kernel`` (r, r, k, k) with so many channels before it that do nothing."""
    if tensor.ndim == 2:
        return torch.cat([tensor.new_zeros(channels, tensor.shape[1]), tensor])
    return torch.nn.functional.pad(tensor, (0, 0, 0, 0, channels, 0, channels, 0))
