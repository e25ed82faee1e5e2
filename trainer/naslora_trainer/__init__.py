"""NAS-LoRA fine-tuning of Segment Anything models. Names are imported on use, so torch comes late."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adapter import Adapter
    from .base import load_base
    from .config import FineTuneConfig
    from .merge import merge
    from .train import finetune

__version__ = "0.1.0"
__all__ = ["Adapter", "FineTuneConfig", "__version__", "finetune", "load_base", "merge"]

_MODULES = {
    "Adapter": "adapter",
    "FineTuneConfig": "config",
    "finetune": "train",
    "load_base": "base",
    "merge": "merge",
}


class _Package(ModuleType):
    """A package whose function ``merge`` is not hidden by its module ``merge`` once that is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _MODULES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
