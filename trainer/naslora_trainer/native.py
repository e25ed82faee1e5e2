"""Native libraries in one process: how memory is reused, and what must be loaded apart."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
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


def load_triton_apart() -> None:
    """Load triton so that its LLVM and the graphics driver's do not meet; call it before torchvision is imported.

    Mesa's software and AMD drivers bring one LLVM into a process with a window, triton (imported by torchvision)
    another one; with shared symbols the second one crashes the window (measured on Linux with torch 2.14 and 2.15).
    """
    if not sys.platform.startswith("linux") or "triton" in sys.modules:
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(os.RTLD_NOW | os.RTLD_DEEPBIND)
    try:
        with contextlib.suppress(ImportError):  # a torch without triton has nothing to keep apart
            importlib.import_module("triton._C.libtriton")
    finally:
        sys.setdlopenflags(flags)
