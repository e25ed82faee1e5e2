"""Where the arithmetic runs, and in which precision."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from .errors import UserError

if TYPE_CHECKING:
    import torch

#: bfloat16 is taken on a CPU where it is at least so many times as fast as float32.
WORTH_IT = 1.2


def pick_device(wish: str = "auto") -> str:
    """Return a torch device name that exists here.

    Parameters
    ----------
    wish : str
        ``"auto"`` (CUDA, then Apple's MPS, then CPU), ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``.

    Raises
    ------
    UserError
        The device is unknown or not present on this machine.
    """
    import torch

    has_mps = torch.backends.mps.is_available()
    if wish == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
    if wish == "cpu" or (wish == "mps" and has_mps):
        return wish
    kind, _, index = wish.partition(":")
    if kind == "cuda" and (not index or index.isdigit()) and torch.cuda.device_count() > int(index or 0):
        return wish
    raise UserError(f"The device '{wish}' is not available on this machine.", "Use 'auto' or 'cpu'.")


def pick_precision(device: str, wish: str = "auto") -> torch.dtype:
    """Return the type of matrix products in training: ``torch.bfloat16`` or ``torch.float32``.

    Parameters
    ----------
    device : str
        A torch device name.
    wish : str
        ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 on GPUs that have it, and on CPUs that have it
        (avx512_bf16, AMX) and are faster with it, which is measured on one product of the size of a layer.
    """
    import torch

    if wish != "auto":
        return torch.bfloat16 if wish == "bfloat16" else torch.float32
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device != "cpu" or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return torch.float32
    speedup = _product_s(torch.float32) / _product_s(torch.bfloat16)
    return torch.bfloat16 if speedup >= WORTH_IT else torch.float32


def _product_s(dtype: torch.dtype) -> float:
    """Return the seconds of a product of tokens with a layer's weights, the best of five."""
    import torch

    tokens, weight = torch.ones(2048, 320, dtype=dtype), torch.ones(320, 960, dtype=dtype)
    seconds = []
    for _ in range(6):
        start = time.perf_counter()
        tokens @ weight
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def autocast(device: str, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Return a context in which matrix products are computed as ``dtype``; weights stay what they are."""
    import torch

    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(device.partition(":")[0], dtype=dtype)
