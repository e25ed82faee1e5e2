"""Where the arithmetic runs."""

from __future__ import annotations

from .errors import UserError


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
