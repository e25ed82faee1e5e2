"""Keys of the dock, bound to the viewer while the dock lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari import Viewer
from napari.layers import Layer

if TYPE_CHECKING:
    from .dock import NasLoraDock


class Keys:
    """Binds the keys, and gives them back as they were.

    Parameters
    ----------
    viewer : Viewer
        Gets the keys.
    dock : NasLoraDock
        Does what they ask.
    """

    def __init__(self, viewer: Viewer, dock: NasLoraDock) -> None:
        self._viewer = viewer
        actions = {
            "A": dock.editing.accept,
            "Enter": dock.editing.accept,
            "Escape": dock.editing.discard,
            "U": dock.editing.undo,
            "Y": dock.editing.redo,
            "N": dock.editing.next_candidate,
            "T": dock.editing.tidy,
            "R": dock.editing.reopen,
            "X": dock.editing.delete,
            "G": dock.editing.give_class,
            "K": dock.editing.split,
            "M": dock.editing.merge,
            ".": dock.editing.next_object,
            ",": dock.editing.previous_object,
            "C": lambda: dock.set_mode("click"),
            "B": lambda: dock.set_mode("box"),
            "S": lambda: dock.set_mode("scribble"),
            "P": lambda: dock.set_mode("brush"),
            "PageUp": lambda: dock.open_panel.step(-1),
            "PageDown": lambda: dock.open_panel.step(1),
        }
        self._actions = actions
        #: Those of layers only: the viewer's own are napari's.
        self._of_layers = {**actions, "Control-Z": dock.editing.undo, "Control-Shift-Z": dock.editing.redo}
        self._layers: list[tuple[Layer, dict[Any, Any]]] = []
        for key, action in actions.items():
            viewer.bind_key(key, lambda _viewer, action=action: action(), overwrite=True)

    def bind(self, layer: Layer) -> None:
        """Bind the keys to a layer of the dock as well: a layer's own keys (A: select all) come before the viewer's."""
        self._layers.append((layer, dict(layer.keymap)))
        for key, action in self._of_layers.items():
            layer.bind_key(key, lambda _layer, action=action: action(), overwrite=True)

    def release(self) -> None:
        """Unbind them."""
        for key in self._actions:
            self._viewer.bind_key(key, None, overwrite=True)
        for layer, before in self._layers:
            layer.keymap.clear()
            layer.keymap.update(before)
        self._layers.clear()
