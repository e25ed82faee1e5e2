"""Planes of labels that are shown: what changes in them is drawn without napari doing all of the layer anew.

Giving a layer other ``data`` makes napari compile its shaders again, which takes a processor that draws 50 ms; and each
event of a layer has the whole layer list painted once more, which costs another frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari import Viewer
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from naslora_trainer.prompts import Prediction
from naslora_trainer.regions import MOST_SEEN

from ..store.edits import Window
from . import colours

#: The answer to prompts, and what a click under the mouse would give.
PROPOSED, HOVERED = 1, 2
NOTHING = (0.0, 0.0, 0.0, 0.0)
_COLORS = {None: NOTHING, 0: NOTHING, PROPOSED: colours.MASK, HOVERED: (1.0, 1.0, 1.0, 0.45)}
#: With objects up to here there are 16 bits for each pixel, and some thousand numbers for new ones.
ROOM = 60_000


def no_preview(shape: tuple[int, ...]) -> np.ndarray:
    """Return the plane of the proposed mask of an image of a shape, empty: not more than what is mostly seen of it."""
    return np.zeros([min(side, MOST_SEEN) for side in shape], np.uint8)


def preview_layer(name: str, shape: tuple[int, ...], place: dict[str, Any]) -> Labels:
    """Return the layer of the proposed mask, empty, at a ``place`` of the world."""
    colors = DirectLabelColormap(color_dict=_COLORS)
    layer = Labels(no_preview(shape), name=name, opacity=0.6, colormap=colors, **place)
    layer._history_limit = 0  # nobody paints on it; napari would keep the last 100 masks
    layer.editable = False  # which takes the limit over
    return layer


def draw_preview(viewer: Viewer, layer: Labels, prediction: Prediction | None, value: int) -> None:
    """Draw the mask of an answer with ``value``, or none, in place of what is in the layer of the proposed mask."""
    drawn = np.zeros_like(layer.data) if prediction is None else prediction.mask * np.uint8(value)
    if drawn.shape != layer.data.shape:
        return replace_plane(layer, drawn)
    changed = np.nonzero(drawn != layer.data)
    if not len(changed[0]):
        return
    if layer.visible:
        with viewer.layers.events.blocker():
            layer.data_setitem(changed, drawn[changed])
    else:
        layer.data[changed] = drawn[changed]


@dataclass(frozen=True, eq=False)
class ShownObjects:
    """Objects as their layer holds them. To make it takes as long as to read them: it is for a worker.

    Attributes
    ----------
    plane : ndarray
        (H, W), the layer's own: of 16 bits while there is room for new numbers. napari shows those as they are. Wider
        ones it divides by the number of colours first, pixel by pixel and several times for a new plane, in the thread
        of the window: 0.15 s each time for 4096 x 4096 (measured).
    highest : int
        The largest number in it.
    """

    plane: np.ndarray
    highest: int

    @classmethod
    def of(cls, labels: np.ndarray) -> ShownObjects:
        """Return a copy of objects (H, W)."""
        highest = int(labels.max(initial=0))
        return cls(labels.astype(np.uint16 if highest < ROOM else np.int32), highest)


def make_room(layer: Labels, number: int) -> None:
    """Widen the objects of a layer where a number would not fit."""
    if number > np.iinfo(layer.data.dtype).max:
        layer.data = layer.data.astype(np.int32)


def replace_plane(layer: Labels, plane: np.ndarray) -> None:
    """Show another plane, from now on the layer's own; it forgets the steps that were made on the one before."""
    editable = layer.editable
    layer.editable = False
    if plane.shape == layer.data.shape and plane.dtype == layer.data.dtype:
        layer.data[...] = plane
        layer.refresh(extent=False, highlight=False)
    else:
        layer.data = plane
    layer.editable = editable


def window_of(atom: Any, shape: tuple[int, ...]) -> Window:
    """Return the rows and columns of one item of a labels layer's history: a window with a mask, or indices."""
    key = getattr(atom, "slice_key", None)
    if key is None:
        key = tuple(slice(int(np.min(index)), int(np.max(index)) + 1) for index in atom[0])
    rows, cols = (slice(*part.indices(size)[:2]) for part, size in zip(key, shape, strict=True))
    return rows, cols


def around(windows: Sequence[Window]) -> Window:
    """Return the smallest window around some."""
    rows, cols = (slice(min(s.start for s in side), max(s.stop for s in side)) for side in zip(*windows, strict=True))
    return rows, cols
