"""The model that answers: a base, or a base with an adapter."""

from __future__ import annotations

from segment_anything.modeling import Sam

from naslora_resources.registry import DEFAULT_MODEL

from .adapter import Adapter
from .base import entry_of, load_base
from .merging import apply


def build(model_id: str = DEFAULT_MODEL, adapter: Adapter | None = None, device: str = "cpu") -> Sam:
    """Return base + adapter as one model in eval mode.

    Raises
    ------
    UserError
        The model cannot be loaded, or the adapter does not belong to it.
    """
    sam = load_base(model_id, device)
    return sam if adapter is None else apply(sam, adapter)


def learned_prompts(model_id: str = DEFAULT_MODEL, adapter: Adapter | None = None) -> tuple[str, ...]:
    """Return what base + adapter was trained on: ``point``, ``box``, and ``multimask`` for three masks of one click.

    An adapter knows of three masks if it was trained with ``alternatives``, by default if its base does.
    """
    return entry_of(model_id).prompts if adapter is None else adapter.meta.prompts
