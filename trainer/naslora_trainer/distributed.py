"""Several processes train one model: each computes a part of every step, the gradients are added up.

Started by ``torchrun``, or by anything else that sets up :mod:`torch.distributed`: NCCL where each process has a GPU of
its own, which it refuses to share, otherwise gloo.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class World:
    """The processes that train together; alone by default.

    Attributes
    ----------
    rank : int
        This process, 0 to ``size - 1``. Rank 0 reports.
    size : int
        How many there are.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def joined(cls, device: str = "cpu") -> World:
        """Return the world this process belongs to, joining it when ``torchrun`` started this process.

        Parameters
        ----------
        device : str
            Where this process trains. If that is ``"cuda"``, each process takes the next GPU of its machine.
        """
        if not distributed.is_available():
            return cls()
        if not distributed.is_initialized() and int(os.environ.get("WORLD_SIZE", "1")) > 1:
            distributed.init_process_group("nccl" if _takes_a_gpu(device) else "gloo")
        if not distributed.is_initialized():
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def leads(self) -> bool:
        """True for the process that reports."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Return which of ``count`` equal pieces of work are this process's."""
        return slice(self.rank, count, self.size)

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        return flag if self.size == 1 else bool(self.total(float(flag)) > 0)

    def total(self, value: float) -> float:
        """Return the sum of a number over the processes."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64, device=_device())
        distributed.all_reduce(tensor)
        return float(tensor)

    def add_up(self, parameters: Sequence[Tensor]) -> None:
        """Replace the gradients of ``parameters`` by their sum over the processes."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None]).to(_device())
        distributed.all_reduce(flat)
        at = 0
        for parameter in parameters:
            assert parameter.grad is not None
            parameter.grad.copy_(flat[at : at + parameter.numel()].view_as(parameter))
            at += parameter.numel()


def _takes_a_gpu(device: str) -> bool:
    """Give this process the GPU of its place on its machine; False where there are too few, or it trains elsewhere."""
    if device != "cuda":
        return False
    place, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    torch.cuda.set_device(place % there)
    return int(os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"])) <= there


def _device() -> str:
    """Return where the processes exchange numbers."""
    return "cuda" if distributed.get_backend() == "nccl" else "cpu"
