"""How the process handles memory that torch gives back."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


def reuse_freed_memory() -> bool:
    """Let glibc keep freed blocks below 1 GiB for the next tensor, in place of returning each to the system.

    By default every large tensor is mapped and unmapped anew, and the page faults were measured to cost about half of
    the wall time of a mask decoder step on a CPU. Elsewhere than on glibc this does nothing.

    Returns
    -------
    bool
        Whether it took effect.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_M_MMAP_THRESHOLD, 1 << 30), (_M_TRIM_THRESHOLD, (1 << 31) - 1), (_M_TOP_PAD, 64 << 20))
    return all([mallopt(parameter, value) == 1 for parameter, value in settings])
