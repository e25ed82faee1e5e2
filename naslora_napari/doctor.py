"""What works on this machine, what does not, and what to do."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable
from ctypes.util import find_library
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

State = Literal["ok", "warn", "fail"]
GIB = 2**30
#: Less is warned about, in bytes: loading and fine-tuning the embedded model takes about 4 GB.
MEMORY_NEEDED, DISK_NEEDED = 6 * GIB, 2 * GIB


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: its state, what was found, and what to do about it."""

    name: str
    state: State
    found: str
    advice: str = ""


def examine() -> list[Check]:
    """Look at everything; a check that breaks is a failed check, never an exception."""
    checks: list[Callable[[], Check]] = [_python, _torch, _napari, _qt, _display, _memory, _disk, _weights, _cache]
    return [_safely(check) for check in checks]


def _safely(check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:
        return Check(check.__name__.strip("_"), "fail", f"{type(error).__name__}: {error}", "Reinstall naslora-napari.")


def _version(package: str) -> str:
    return importlib.metadata.version(package)


def _python() -> Check:
    state: State = "ok" if sys.version_info >= (3, 11) else "fail"
    advice = "" if state == "ok" else "Use Python 3.11 or newer."
    return Check("python", state, f"{platform.python_version()} on {platform.platform()}", advice)


def _torch() -> Check:
    import torch

    from naslora_trainer.devices import pick_device

    device = pick_device("auto")
    name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
    advice = "" if device != "cpu" else "A fine-tune takes minutes on the CPU; with a GPU, seconds."
    return Check("torch", "ok", f"{torch.__version__}, device {device} ({name})", advice)


def _napari() -> Check:
    return Check("napari", "ok", _version("napari"))


def _qt() -> Check:
    try:
        version = _version("PySide6")
    except importlib.metadata.PackageNotFoundError:
        return Check("qt", "warn", "PySide6 is not installed", "Run: pip install 'naslora-napari[all]'")
    if version == "6.12.0" and sys.version_info < (3, 12):
        return Check("qt", "fail", f"PySide6 {version}", "It crashes on Python 3.11. Run: pip install 'PySide6<6.12'")
    return Check("qt", "ok", f"PySide6 {version}")


def _display() -> Check:
    if not sys.platform.startswith("linux"):
        return Check("display", "ok", "comes with the system")
    missing = [name for name in ("GL", "EGL", "xcb-icccm", "xcb-keysyms", "xkbcommon-x11") if not find_library(name)]
    if missing:
        return Check("display", "fail", f"missing libraries: {', '.join(missing)}", "Run: make setup, or install them.")
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return Check("display", "ok", "a screen is there")
    advice = "The window needs a screen; the command line and 'naslora demo --headless' do not."
    return Check("display", "warn", "there is no screen", advice)


def _memory() -> Check:
    import psutil

    memory = psutil.virtual_memory()
    state: State = "ok" if memory.available >= MEMORY_NEEDED else "warn"
    advice = "" if state == "ok" else "Close other programs before a fine-tune."
    return Check("memory", state, f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GB free", advice)


def _disk() -> Check:
    free = shutil.disk_usage(Path.home()).free
    state: State = "ok" if free >= DISK_NEEDED else "warn"
    return Check("disk", state, f"{free / GIB:.1f} GB free", "" if state == "ok" else "Free some space.")


def _weights() -> Check:
    from naslora_resources.registry import DEFAULT_MODEL
    from naslora_trainer.base import load_base
    from naslora_trainer.errors import UserError

    try:
        load_base(DEFAULT_MODEL)
    except UserError as error:
        return Check("weights", "fail", error.message, error.hint)
    return Check("weights", "ok", f"{DEFAULT_MODEL}, SHA-256 checked")


def _cache() -> Check:
    import platformdirs

    folder = Path(platformdirs.user_cache_dir("naslora-napari"))
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(nearest, os.W_OK):
        return Check("cache", "warn", f"{folder} cannot be written", "Downloaded models cannot be kept there.")
    return Check("cache", "ok", str(folder))
