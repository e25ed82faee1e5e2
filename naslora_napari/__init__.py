"""Prompt-based segmentation in napari, fine-tuned in the loop. Names are imported on use, so torch comes late."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .batch import segment_folder
    from .live import LivePredictor
    from .store import Project

__version__ = "0.1.0"
__all__ = ["LivePredictor", "Project", "__version__", "segment_folder"]

_MODULES = {"LivePredictor": "live", "Project": "store", "segment_folder": "batch"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
