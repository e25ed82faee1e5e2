"""Empty layers are not drawn: each of them costs napari one or two milliseconds of every frame all the same.

Empty texts are not, either: for the first one vispy loads a font and compiles shaders, which takes 80 ms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from napari import Viewer
from napari.layers import Layer

#: Events of a layer after which napari makes it visible in the scene.
_DRAWN_AGAIN = ("set_data", "visible", "data", "highlight")


def leave_out_while_empty(viewer: Viewer, layer: Layer) -> None:
    """Let a layer of points or shapes, which is in the viewer, and its texts be drawn only while there are any.

    In napari it stays what it is, with its eye open. Where napari keeps its scene elsewhere, nothing happens.
    """
    node = _node(viewer, layer)
    if node is None:
        return

    def follow(event: Any = None) -> None:
        wanted = bool(layer.visible and len(layer.data))
        if node.visible != wanted:
            node.visible = wanted
        node.text.visible = bool(np.any(layer.text.values != ""))

    for name in _DRAWN_AGAIN:
        getattr(layer.events, name).connect(follow, position="last")
    layer.text.events.connect(follow, position="last")
    follow()


def _node(viewer: Viewer, layer: Layer) -> Any:
    """Return what stands for a layer in the scene: napari has no public name for it, and hands plugins a proxy."""
    try:
        return getattr(viewer, "__wrapped__", viewer).window._qt_viewer.canvas.layer_to_visual[layer].node
    except (AttributeError, KeyError):
        return None
