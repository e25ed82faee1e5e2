"""The layers of the image being annotated, and mouse events on them as prompts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from napari import Viewer
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import QObject, QTimer, Signal

from naslora_trainer.prompts import Point, Prediction, Prompts

from .own_changes import OwnChanges
from .prompt_layers import ALONG, BOX, LASSO, NEGATIVE, POSITIVE, PROMPTS, PromptLayers

Mode = Literal["click", "box", "scribble", "lasso", "brush", "off"]
IMAGE, OBJECTS, PREVIEW = "Image", "Objects", "Preview"
#: For each mode the layer that is worked on, and napari's mode of it.
WORK = {
    "click": (POSITIVE, "pan_zoom"),
    "box": (BOX, "add_rectangle"),
    "scribble": (ALONG, "add_path"),
    "lasso": (LASSO, "add_polygon_lasso"),
    "brush": (OBJECTS, "paint"),
}
#: The answer to prompts, and what a click under the mouse would give.
PROPOSED, HOVERED = 1, 2
NOTHING = (0.0, 0.0, 0.0, 0.0)
PREVIEW_COLORS = {None: NOTHING, 0: NOTHING, PROPOSED: (1.0, 0.85, 0.1, 1.0), HOVERED: (1.0, 1.0, 1.0, 0.45)}
#: A stroke is saved when the hand has rested so long, in ms.
BRUSH_REST_MS = 250
TRANSFORM = ("affine", "scale", "rotate", "shear", "translate")


class Canvas(QObject):
    """Owns the layers; a person's changes of them come out as signals.

    Parameters
    ----------
    viewer : Viewer
        Where the layers are.
    parent : QObject
        Owner.
    """

    prompts_edited = Signal(object)
    labels_painted = Signal(object)

    def __init__(self, viewer: Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.mode: Mode = "click"
        self.layers: dict[str, Layer] = {}
        self.prompts = PromptLayers(viewer, self)
        self.prompts.edited.connect(self.prompts_edited)
        #: Whether the brush leaves the pixels of other objects alone.
        self.keep_others = False
        self._own_change = OwnChanges()
        self._rest = QTimer(self, singleShot=True, interval=BRUSH_REST_MS)
        self._rest.timeout.connect(self.flush)
        viewer.mouse_drag_callbacks.append(self._on_mouse)

    def show_image(self, name: str, image: np.ndarray, labels: np.ndarray) -> None:
        """Put up an image with its accepted objects ``labels`` (H, W) int32, in place of the one before."""
        self.clear()
        rgb = image.ndim == 3
        self.layers[IMAGE] = self._add(Image(image, name=name, rgb=rgb))
        place = _place(self.layers[IMAGE])
        self.layers[OBJECTS] = self._add(Labels(labels.copy(), name=OBJECTS, opacity=0.5, **place))
        colors = DirectLabelColormap(color_dict=PREVIEW_COLORS)
        preview = Labels(np.zeros(labels.shape, np.uint8), name=PREVIEW, opacity=0.6, colormap=colors, **place)
        preview.editable = False
        self.layers[PREVIEW] = self._add(preview)
        for key, layer in self.prompts.make(labels.shape, place).items():
            self.layers[key] = self._add(layer)
        for name in TRANSFORM:
            getattr(self.layers[IMAGE].events, name).connect(self._follow_image)
        self.layers[OBJECTS].events.labels_update.connect(self._on_paint)
        self.layers[OBJECTS].events.paint.connect(self._on_paint)
        self.viewer.reset_view()
        self.set_mode(self.mode)
        self.set_keep_others(self.keep_others)

    def clear(self) -> None:
        """Save a stroke that waits, and take the layers down."""
        self.flush()
        self.prompts.forget()
        for layer in self.layers.values():
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        self.layers.clear()

    def close(self) -> None:
        """Let go of the viewer; the layers stay, for the person to keep."""
        self.flush()
        if self._on_mouse in self.viewer.mouse_drag_callbacks:
            self.viewer.mouse_drag_callbacks.remove(self._on_mouse)

    def set_mode(self, mode: Mode) -> None:
        """Choose what the mouse does: click prompts, draw a box, scribble, draw around, or paint on the objects."""
        self.mode = mode
        if mode not in WORK or not self.present(WORK[mode][0]):
            return
        for key, _ in WORK.values():
            if self.present(key):
                self.layers[key].mode = "pan_zoom"  # which also ends what is half drawn
        key, napari_mode = WORK[mode]
        layer = self.layers[key]
        self.viewer.layers.selection.active = layer
        layer.mode = napari_mode
        if isinstance(layer, Labels):
            layer.selected_label = int(layer.data.max()) + 1

    def set_keep_others(self, keep: bool) -> None:
        """Choose whether the brush leaves the pixels of other objects alone."""
        self.keep_others = keep
        if self.present(OBJECTS):
            self.layers[OBJECTS].preserve_labels = keep

    def present(self, key: str) -> bool:
        """True while the person has not deleted the layer."""
        return key in self.layers and self.layers[key] in self.viewer.layers

    def show_prompts(self, prompts: Prompts) -> None:
        """Draw prompts; that is not an edit."""
        self.prompts.show(prompts)

    def show_preview(self, prediction: Prediction | None, value: int = PROPOSED) -> None:
        """Draw the newest answer, or none; ``value`` says whether it is ``PROPOSED`` or only ``HOVERED``."""
        if self.present(PREVIEW):
            layer = self.layers[PREVIEW]
            plane = np.zeros_like(layer.data)
            if prediction is not None:
                plane[prediction.window] = prediction.mask * np.uint8(value)
            layer.data = plane

    def show_labels(self, labels: np.ndarray) -> None:
        """Bring the objects layer up to date with ``labels``, as one step of its undo history."""
        if not self.present(OBJECTS):
            return
        layer = self.layers[OBJECTS]
        where = np.nonzero(layer.data != labels)
        if len(where[0]):
            with self._own_change, layer.block_history():
                layer.data_setitem(where, labels[where])
            self._rest.stop()

    def object_under_pointer(self) -> int:
        """Return the id of the accepted object under the mouse, 0 where there is none."""
        return self._object_at(self.viewer.cursor.position) if self.present(OBJECTS) else 0

    def pixel_at(self, position: Any) -> Point | None:
        """Return the (row, col) of the image at a place of the world, None outside."""
        if not self.present(IMAGE):
            return None
        row, col = self.layers[IMAGE].world_to_data(position)[-2:]
        return (float(row), float(col)) if self.prompts.inside((row, col)) else None

    def flush(self) -> None:
        """Hand over what was painted since the last time."""
        self._rest.stop()
        if self.present(OBJECTS):
            self.labels_painted.emit(self.layers[OBJECTS].data)

    def _add(self, layer: Any) -> Layer:
        return self.viewer.add_layer(layer)

    def _follow_image(self, event: Any = None) -> None:
        """Keep the layers on the image when the person gives it another scale, place or rotation."""
        for key, layer in self.layers.items():
            if key != IMAGE:
                for name in TRANSFORM:
                    setattr(layer, name, getattr(self.layers[IMAGE], name))

    def _choose_label(self, position: Any) -> None:
        """A stroke that begins on an object belongs to it; one that begins on background makes a new one."""
        layer = self.layers[OBJECTS]
        layer.selected_label = self._object_at(position) or int(layer.data.max()) + 1

    def _object_at(self, position: Any) -> int:
        """Return the id of the accepted object at a place of the world, 0 where there is none."""
        return int(self.layers[OBJECTS].get_value(position, world=True) or 0)

    def _on_paint(self, event: Any = None) -> None:
        if not self._own_change:
            self._rest.start()

    def _on_mouse(self, viewer: Viewer, event: Any) -> Iterator[None]:
        """A press and release at one place in click mode is a prompt; a drag is left to napari."""
        if self.mode == "brush" and self.present(OBJECTS):
            self._choose_label(event.position)
        start = np.array(event.pos)
        negative = event.button == 2 or "Shift" in event.modifiers
        layer = viewer.layers.selection.active
        navigating = layer is not None and str(layer.mode) == "pan_zoom"
        self.prompts.dragging = True
        yield
        while event.type == "mouse_move":
            yield
        self.prompts.dragging = False
        if not navigating and layer in (self.layers.get(key) for key in PROMPTS):
            self.prompts.read_soon(negative and self.mode == "scribble")
        if self.mode != "click" or not navigating or np.abs(np.array(event.pos) - start).max() > 4:
            return
        point = self.pixel_at(event.position)
        if point is not None:
            self.prompts.add_click(NEGATIVE if negative else POSITIVE, point)


def _place(layer: Layer) -> dict[str, Any]:
    """Where a layer is in the world, for the layers on top of it."""
    return {"scale": layer.scale[-2:], "translate": layer.translate[-2:], "rotate": layer.rotate[-2:, -2:]}
