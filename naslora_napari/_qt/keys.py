"""Keys of the dock, bound to the viewer while the dock lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari import Viewer

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
            "A": dock.accept,
            "Enter": dock.accept,
            "Escape": dock.discard,
            "U": dock.undo,
            "C": lambda: dock.set_mode("click"),
            "B": lambda: dock.set_mode("box"),
            "P": lambda: dock.set_mode("brush"),
            "PageUp": lambda: dock.open_panel.step(-1),
            "PageDown": lambda: dock.open_panel.step(1),
        }
        self._bound = list(actions)
        for key, action in actions.items():
            viewer.bind_key(key, lambda _viewer, action=action: action(), overwrite=True)

    def release(self) -> None:
        """Unbind them."""
        for key in self._bound:
            self._viewer.bind_key(key, None, overwrite=True)
