"""A folder of images in, label images and measurements out. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .segment import BatchReport, segment_folder

__all__ = ["BatchReport", "segment_folder"]


def __getattr__(name: str) -> Any:
    """Import what measures when it is first used: the window opens without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import segment

    return getattr(segment, name)
