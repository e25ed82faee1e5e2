"""The dock's actions in napari's list of shortcuts (Preferences > Shortcuts), where a person gives them other keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from app_model.backends.qt import QKeyBindingSequence
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from napari.utils.interactions import KEY_SYMBOLS
from napari.utils.key_bindings import KeymapProvider, coerce_keybinding
from qtpy.QtGui import QKeySequence

PREFIX = "naslora-napari"
# napari warns of keys that it has no symbol for
for _key in ("PageUp", "PageDown"):
    KEY_SYMBOLS.setdefault(_key, _key)


class DockActions(KeymapProvider):
    """Owner of the actions in napari's list, which is one for all windows.

    napari binds keys to classes, a dock to its own viewer and layers: so nothing happens in a viewer without a dock,
    and a layer's own keys come second.
    """

    #: For each open dock what does an action, by its name, if the dock is in the current viewer.
    docks: ClassVar[list[Callable[[str], None]]] = []


def register(name: str, description: str, keys: Sequence[str]) -> None:
    """Put an action on napari's list, with the keys that the person chose in the settings, or else ``keys``."""

    def do() -> None:
        for perform in tuple(DockActions.docks):
            perform(name)

    do.__name__ = function_name(name)
    action_manager.register_action(_full(name), do, description, DockActions)
    chosen = get_settings().shortcuts.shortcuts.get(_full(name), keys)
    action_manager.unbind_shortcut(_full(name))
    for key in chosen:
        action_manager.bind_shortcut(_full(name), coerce_keybinding(key))


def unregister(name: str, description: str) -> None:
    """Take an action off the list: napari shows none that belongs to nothing."""
    action_manager.unbind_shortcut(_full(name))
    action_manager.register_action(_full(name), _nothing, description, None)


def function_name(name: str) -> str:
    """Return how the function of an action is called, by which napari finds the keys that are active."""
    return f"naslora_{name}"


def keys_of(name: str) -> list[str]:
    """Return the keys of an action now, as napari binds them."""
    return [str(coerce_keybinding(key)) for key in action_manager._shortcuts.get(_full(name), ())]  # no public way


def readable(key: str) -> str:
    """Return a key as this computer's menus name it: ``Ctrl+Shift+I``, ``Esc``."""
    sequence = QKeyBindingSequence(coerce_keybinding(key))
    return str(sequence.toString(QKeySequence.SequenceFormat.NativeText))


def is_ours(full_name: str) -> bool:
    """Return whether an action of napari's list is one of the dock's."""
    return full_name.startswith(f"{PREFIX}:")


def _full(name: str) -> str:
    return f"{PREFIX}:{name}"


def _nothing() -> None:
    """Do nothing: no dock is open."""
