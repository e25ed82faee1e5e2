"""What works on this machine, what does not, and what to do."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from ctypes.util import find_library
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

State = Literal["ok", "warn", "fail"]
GIB = 2**30
#: Less is warned about, in bytes: loading and fine-tuning the embedded model takes about 4 GB.
MEMORY_NEEDED, DISK_NEEDED = 6 * GIB, 2 * GIB
#: Less memory of a GPU is warned about, in bytes; a training halves what is computed together before it gives up.
GPU_NEEDED = 2 * GIB


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: its state, what was found, and what to do about it."""

    name: str
    state: State
    found: str
    advice: str = ""


def examine() -> list[Check]:
    """Look at everything; a check that breaks is a failed check, never an exception."""
    checks: list[Callable[[], Check]] = [
        _python, _torch, _gpu, _napari, _qt, _display, _opengl, _memory, _disk, _weights, _models, _cache,
    ]  # fmt: skip
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

    return Check("torch", "ok", f"{torch.__version__}, device {pick_device()}, {torch.get_num_threads()} threads")


def _gpu() -> Check:
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        found = f"{torch.cuda.get_device_name()}, {free / GIB:.1f} of {total / GIB:.1f} GB free"
        if free < GPU_NEEDED:
            return Check("gpu", "warn", found, "Close other programs that use it, or train with --device cpu.")
        return Check("gpu", "ok", found)
    if torch.backends.mps.is_available():
        return Check("gpu", "ok", "Apple, by way of MPS")
    slower = "Without a GPU a fine-tune takes minutes and not seconds; everything works."
    if shutil.which("nvidia-smi") is None:
        return Check("gpu", "ok", "none was found", slower)
    if torch.version.cuda is None:
        found, way_out = (
            "one of NVIDIA, but torch is built for the CPU",
            "install torch for CUDA (pytorch.org)",
        )
    else:
        found, way_out = (
            "one of NVIDIA, but torch cannot use it",
            "renew its driver; 'nvidia-smi' must list it",
        )
    return Check("gpu", "warn", found, f"To use it, {way_out}. {slower}")


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
    if _has_screen():
        return Check("display", "ok", "a screen is there")
    advice = "The window needs a screen; the command line and 'naslora demo --headless' do not."
    return Check("display", "warn", "there is no screen", advice)


def _has_screen() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _opengl() -> Check:
    if sys.platform.startswith("linux") and not _has_screen():
        return Check("opengl", "ok", "not looked at without a screen")
    if not any(map(find_spec, ("PySide6", "PyQt6"))):
        return Check("opengl", "ok", "not looked at without Qt")
    command = [sys.executable, "-m", "naslora_napari._qt.opengl"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60)
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return Check("opengl", "fail", why, "The window needs OpenGL 2.1: renew the driver of the graphics card.")
    renderer, version = (done.stdout.splitlines() + ["", ""])[:2]
    in_software = any(name in renderer.lower() for name in ("llvmpipe", "softpipe", "swrast", "software"))
    advice = "The processor draws the window, which is slow for large images: renew the graphics driver."
    return Check("opengl", "warn" if in_software else "ok", f"{version}, {renderer}", advice if in_software else "")


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


def _models() -> Check:
    """Say which models of the registry were downloaded; their checksums are compared whenever one is used."""
    from naslora_resources.registry import models

    folder = _cache_folder() / "models"
    there: list[str] = []
    broken: list[str] = []
    for entry in (entry for entry in models().values() if entry.source == "download"):
        file = folder / f"{entry.id}.pth"
        if file.is_file():
            (there if file.stat().st_size == entry.size_bytes else broken).append(entry.id)
    if broken:
        return Check("models", "warn", f"incomplete: {', '.join(broken)}", f"Delete them in {folder}.")
    return Check("models", "ok", f"downloaded: {', '.join(there) or 'none, and none is needed'}")


def _cache() -> Check:
    folder = _cache_folder()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(nearest, os.W_OK):
        return Check("cache", "warn", f"{folder} cannot be written", "Downloaded models cannot be kept there.")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    advice = "Delete it when you need the space; models are downloaded again when asked for." if size > GIB else ""
    return Check("cache", "ok", f"{folder}, {size / GIB:.1f} GB", advice)


def _cache_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("naslora-napari"))
