"""What the status line of the dock says: which model answers, and what the person can do now."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .dock import NasLoraDock


def model_in_words(dock: NasLoraDock) -> str:
    """Return the model that answers, and with which adapter."""
    base, version = dock.predictor.base, dock.predictor.version
    adapter = version.removeprefix(base).removeprefix("+")  # to ask the adapter itself for its id takes 10 ms
    return f"{base} with your adapter {dock.library.name_in_use or adapter}" if adapter else base


def next_step(dock: NasLoraDock, has_prompt: bool, has_preview: bool) -> str:
    """Return what the person can do now, in one sentence."""
    shown = dock.keys.shown
    if dock.session is None or not dock.session.name:
        return "Open an image or a folder to begin, or the sample project to try it out."
    if not dock.predictor.is_ready:
        return "The model prepares the image…"
    if dock.editing.merging:
        key, number = shown("merge"), dock.editing.merging
        return f"Move the mouse over what belongs to object {number} and press {key}; Esc forgets it."
    if has_preview:
        return f"Accept the mask ({shown('accept')}), or click where it is wrong."
    if has_prompt:
        return "The model answers…"
    return dock.editing.chosen or _next_object(dock)


def _next_object(dock: NasLoraDock) -> str:
    if dock.canvas.mode in ("brush", "area"):
        return "Choose Click for the next object."
    if dock.session is None or not dock.session.objects or dock.open_panel.complete_button.isChecked():
        return "Click on an object, or drag a box around it."
    key = dock.keys.shown("complete")
    return f"Click on the next object. When every object has its mask, press Complete{f' ({key})' if key else ''}."
