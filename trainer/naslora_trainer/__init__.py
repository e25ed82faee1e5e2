"""NAS-LoRA fine-tuning of Segment Anything models. Names are imported on use, so torch comes late."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adapter import Adapter
    from .base import load_base
    from .config import FineTuneConfig
    from .merging import merge
    from .train import finetune

__version__ = "0.1.0"
__all__ = ["Adapter", "FineTuneConfig", "__version__", "finetune", "load_base", "merge"]

_MODULES = {
    "Adapter": "adapter",
    "FineTuneConfig": "config",
    "finetune": "train",
    "load_base": "base",
    "merge": "merging",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
