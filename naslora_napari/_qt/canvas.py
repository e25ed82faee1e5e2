"""The layers of the image being annotated, and mouse events on them as prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from napari import Viewer
from napari.layers import Labels, Layer, Points, Shapes
from napari.utils.transforms import Affine
from qtpy.QtCore import QObject, QTimer, Signal
from vispy.visuals.line.dash_atlas import DashAtlas

from naslora_trainer.data import Roi
from naslora_trainer.pictures import Picture
from naslora_trainer.prompts import Point, Prediction, Prompts

from ..store.edits import Edit, Window
from .area_layer import AREAS, AreaLayer
from .empty_layers import leave_out_while_empty
from .image_layer import LARGEST_TEXTURE, TRANSFORM, image_layer, in_levels, place_of, put_in_place
from .in_turns import InTurns
from .own_changes import OwnChanges
from .planes import (
    PROPOSED,
    ShownObjects,
    around,
    draw_preview,
    make_room,
    no_preview,
    preview_layer,
    replace_plane,
    window_of,
)
from .prompt_layers import ALONG, BOX, LASSO, NEGATIVE, POSITIVE, PROMPTS, PromptLayers

Mode = Literal["click", "box", "scribble", "lasso", "brush", "area", "off"]
IMAGE, OBJECTS, PREVIEW = "Image", "Objects", "Preview"
#: For each mode the layer that is worked on, and napari's mode of it.
WORK = {
    "click": (POSITIVE, "pan_zoom"),
    "box": (BOX, "add_rectangle"),
    "scribble": (ALONG, "add_path"),
    "lasso": (LASSO, "add_polygon_lasso"),
    "brush": (OBJECTS, "paint"),
    "area": (AREAS, "add_rectangle"),
}
#: A stroke is saved when the hand has rested so long, in ms; the model looks where the camera has.
BRUSH_REST_MS, CAMERA_REST_MS = 250, 200
#: A mouse that moved no further between press and release, in pixels of the screen, has not been dragged.
TAP = 4
#: Images with more pixels are put up in pieces.
AT_ONCE = 2048 * 2048
#: After so many ms what was changed is drawn.
FRAME_MS = 20
#: The model sees other contrast limits when the slider has rested so long, in ms.
CONTRAST_REST_MS = 500


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
    #: What was painted: the plane, and the rows and columns in which; None: anywhere.
    labels_painted = Signal(object, object)
    #: What of the image is on the screen, as (row0, col0, row1, col1), when the camera has come to rest.
    looked_at = Signal(tuple)
    #: Contrast limits (low, high) that the person chose.
    contrast_chosen = Signal(tuple)
    #: Areas of the image in which every object is labelled, as the person drew them.
    areas_edited = Signal(tuple)

    def __init__(self, viewer: Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.mode: Mode = "click"
        self.layers: dict[str, Layer] = {}
        self.prompts = PromptLayers(viewer, self)
        self.prompts.edited.connect(self.prompts_edited)
        self.areas = AreaLayer(viewer, self)
        self.areas.edited.connect(self.areas_edited)
        #: Whether the brush leaves the pixels of other objects alone.
        self.keep_others = False
        #: Where was painted since the objects were handed over.
        self._painted: Window | None = None
        #: No object has a larger number.
        self._highest = 0
        #: The pixel of the image at the first one of the preview.
        self._offset = (0, 0)
        self._own_change = OwnChanges()
        self._building = InTurns(self)
        self._rest = QTimer(self, singleShot=True, interval=BRUSH_REST_MS)
        self._rest.timeout.connect(self.flush)
        self._contrast = QTimer(self, singleShot=True, interval=CONTRAST_REST_MS)
        self._contrast.timeout.connect(self._on_contrast_rest)
        self._look = QTimer(self, singleShot=True, interval=CAMERA_REST_MS)
        self._look.timeout.connect(self._on_look)
        viewer.mouse_drag_callbacks.append(self._on_mouse)
        viewer.scene.camera.events.connect(self._on_camera)

    def show_image(
        self, name: str, picture: Picture, objects: ShownObjects, rois: Sequence[Roi], then: Callable[[], object]
    ) -> None:
        """Put up an image with its accepted objects, in place of the one before, which was flushed.

        ``rois`` are its areas in which every object is labelled; ``then`` is called when all is there. That is at once
        if the layers that are there can take it and it is not large: else they come one by one, since new ones take a
        second together, and the pixels of large ones a tenth of it each.
        """

        def shown() -> None:
            self._show_all(objects, rois)
            then()

        if not self._can_take(picture):
            self.clear()
            self._building.run(self._build(name, picture, objects), shown, FRAME_MS)
        elif objects.plane.size > AT_ONCE:
            self._building.run(self._exchange(name, picture, objects), shown, FRAME_MS)
        else:
            list(self._exchange(name, picture, objects))
            shown()

    @property
    def building(self) -> bool:
        """Whether not all layers of the image are there yet."""
        return self._building.running

    def _show_all(self, objects: ShownObjects, rois: Sequence[Roi]) -> None:
        """Bring all to the image that the layers hold now."""
        shape = objects.plane.shape
        self._highest, self._offset, self._painted = objects.highest, (0, 0), None
        self._rest.stop()
        self._contrast.stop()
        self.prompts.resize(max(shape))
        self.areas.show(rois, shape)
        self.viewer.reset_view()
        self.set_mode(self.mode)
        self.set_keep_others(self.keep_others)

    def clear(self) -> None:
        """Take the layers down, which were flushed."""
        self._building.stop()
        self.prompts.forget()
        for layer in self.layers.values():
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        self.layers.clear()

    def close(self) -> None:
        """Let go of the viewer; the layers stay, for the person to keep."""
        self.flush(everywhere=True)
        self._building.stop()  # not before: what is half built is not the image that the session has
        if self._on_mouse in self.viewer.mouse_drag_callbacks:
            self.viewer.mouse_drag_callbacks.remove(self._on_mouse)
        self.viewer.scene.camera.events.disconnect(self._on_camera)

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
            layer.selected_label = self._new_label()

    def set_keep_others(self, keep: bool) -> None:
        """Choose whether the brush leaves the pixels of other objects alone."""
        self.keep_others = keep
        if self.present(OBJECTS):
            self.layers[OBJECTS].preserve_labels = keep

    def present(self, key: str) -> bool:
        """True while the person has not deleted the layer; False while layers are built."""
        return not self.building and key in self.layers and self.layers[key] in self.viewer.layers

    def show_prompts(self, prompts: Prompts) -> None:
        """Draw prompts; that is not an edit."""
        self.prompts.show(prompts)

    def show_preview(self, prediction: Prediction | None, value: int = PROPOSED) -> None:
        """Draw the newest answer, or none; the layer covers what the model saw of the image.

        ``value`` says whether it is ``PROPOSED`` or only ``HOVERED``.
        """
        if not self.present(PREVIEW):
            return
        draw_preview(self.viewer, self.layers[PREVIEW], prediction, value)
        if prediction is not None and prediction.offset != self._offset:
            self._offset = prediction.offset
            _set(self.layers[PREVIEW], "translate", self._corner())

    def show_labels(self, edit: Edit) -> None:
        """Bring the objects layer up to date after an edit, as one step of its undo history."""
        if self.present(OBJECTS) and len(edit.rows):
            layer = self.layers[OBJECTS]
            self._highest = max(self._highest, int(edit.after.max()))
            with self._own_change, layer.block_history():
                make_room(layer, self._highest)
                layer.data_setitem(edit.where, edit.after)

    def put_back(self, labels: np.ndarray) -> None:
        """Show the accepted objects again, in place of what was painted and refused."""
        if self.present(OBJECTS):
            self._put_objects(ShownObjects.of(labels))
            self.set_mode(self.mode)

    def look_at(self, point: Point, key: int) -> None:
        """Put a point (row, col) of the image in the middle of the view, and choose the label of the object there."""
        if self.present(OBJECTS):
            layer = self.layers[OBJECTS]
            layer.selected_label = key
            self.viewer.scene.camera.center = layer.data_to_world(point)

    def object_under_pointer(self) -> int:
        """Return the id of the accepted object under the mouse, 0 where there is none."""
        return self._object_at(self.viewer.cursor.position) if self.present(OBJECTS) else 0

    def pixel_at(self, position: Any) -> Point | None:
        """Return the (row, col) of the image at a place of the world, None outside."""
        if not self.present(IMAGE):
            return None
        row, col = self.layers[IMAGE].world_to_data(position)[-2:]
        return (float(row), float(col)) if self.prompts.inside((row, col)) else None

    def prompts_if_clicked(self, negative: bool) -> Prompts | None:
        """Return the prompts with a click where the mouse is, None where a click is none."""
        key, layer = NEGATIVE if negative else POSITIVE, self.viewer.layers.selection.active
        if self.mode != "click" or layer is None or str(layer.mode) != "pan_zoom" or not self.present(key):
            return None
        point = self.pixel_at(self.viewer.cursor.position)
        return None if point is None else self.prompts.with_click(key, point)

    def flush(self, everywhere: bool = False) -> None:
        """Hand over what was painted since the last time; ``everywhere``: and what napari did not tell of."""
        self._rest.stop()
        window, self._painted = self._painted, None
        if self.present(OBJECTS) and (everywhere or window is not None):
            self.labels_painted.emit(self.layers[OBJECTS].data, None if everywhere else window)

    def _can_take(self, picture: Picture) -> bool:
        """Return whether the layers that are there can show an image: to build them anew takes seconds."""
        if not all(self.present(key) for key in (IMAGE, OBJECTS, PREVIEW, AREAS, *PROMPTS)):
            return False
        shown, image = self.layers[IMAGE], picture.levels[0]
        many = shown.multiscale or in_levels(picture)
        return not many and bool(shown.dtype == image.dtype and shown.data.shape[2:] == image.shape[2:])

    def _exchange(self, name: str, picture: Picture, objects: ShownObjects) -> Iterator[None]:
        """Give the layers other content, one in each piece."""
        shown: Any = self.layers[IMAGE]
        put_in_place(shown, picture)
        with self._own_change:
            shown.data, shown.name = picture.levels[0], name
            if not shown.rgb:
                shown.reset_contrast_limits_range()
                shown.reset_contrast_limits()
                shown.contrast_limits = picture.limits or shown.contrast_limits
        yield
        with self._own_change:
            self._put_objects(objects)
            replace_plane(self.layers[PREVIEW], no_preview(objects.plane.shape))
        self._offset = (0, 0)
        self._follow_image()
        self.prompts.take(objects.plane.shape)

    def _put_objects(self, objects: ShownObjects) -> None:
        """Replace the plane of objects."""
        with self._own_change:
            replace_plane(self.layers[OBJECTS], objects.plane)

    def _build(self, name: str, picture: Picture, objects: ShownObjects) -> Iterator[None]:
        """Make the layers, one in each piece. Which one is selected is told at the end: napari shows each otherwise."""
        shape = objects.plane.shape
        DashAtlas()  # vispy keeps its patterns from here on; it would make them with the first layer of objects
        yield
        self.layers[IMAGE] = self._add(image_layer(name, picture))
        yield
        place = place_of(self.layers[IMAGE])
        self.layers[OBJECTS] = self._add(Labels(objects.plane, name=OBJECTS, opacity=0.5, **place))
        yield
        self.layers[PREVIEW] = self._add(preview_layer(PREVIEW, shape, place))
        yield
        self.layers[AREAS] = self._add(self.areas.make(place))
        yield
        for key, layer in self.prompts.make(shape, place).items():
            self.layers[key] = self._add(layer)
            yield
        self.viewer.layers.selection.active = self.layers[OBJECTS]
        for event in TRANSFORM:
            getattr(self.layers[IMAGE].events, event).connect(self._follow_image)
        self.layers[IMAGE].events.contrast_limits.connect(self._on_contrast)
        self.layers[OBJECTS].events.paint.connect(self._on_paint)
        self.layers[OBJECTS].events.data.connect(self._on_replaced)

    def _add(self, layer: Any) -> Layer:
        with self.viewer.layers.selection.events.blocker_all():
            added = self.viewer.add_layer(layer)
        if isinstance(added, Points | Shapes):
            leave_out_while_empty(self.viewer, added)
        return added

    def _follow_image(self, event: Any = None) -> None:
        """Keep the layers on the image when the person gives it another scale, place or rotation."""
        image = self.layers[IMAGE]
        for key, layer in self.layers.items():
            for name in (*TRANSFORM, "units") if key != IMAGE else ():
                _set(layer, name, getattr(image, name) if name != "translate" or key != PREVIEW else self._corner())

    def _corner(self) -> np.ndarray:
        """Return the place of that part in the world, before the image's affine transform."""
        image = self.layers[IMAGE]
        turned = Affine(scale=image.scale[-2:], rotate=image.rotate[-2:, -2:], shear=image.shear[-1:])
        return image.translate[-2:] + turned(self._offset)

    def _on_contrast(self, event: Any = None) -> None:
        if not self._own_change and not self.layers[IMAGE].rgb:
            self._contrast.start()

    def _on_contrast_rest(self) -> None:
        if self.present(IMAGE):
            low, high = self.layers[IMAGE].contrast_limits
            self.contrast_chosen.emit((float(low), float(high)))

    def _on_camera(self, event: Any = None) -> None:
        self._look.start()

    def _on_look(self) -> None:
        """Tell what is visible now, and draw prompts in a size that suits."""
        if not self.present(OBJECTS):
            return
        (row0, col0), (row1, col1) = self.layers[OBJECTS].corner_pixels  # of a layer that has one level only
        self.looked_at.emit((float(row0), float(col0), float(row1 + 1), float(col1 + 1)))
        if max(self.layers[OBJECTS].data.shape) > LARGEST_TEXTURE:
            self.prompts.resize(max(row1 - row0, col1 - col0) + 1)

    def _choose_label(self, position: Any) -> None:
        """A stroke that begins on an object belongs to it; one that begins on background makes a new one."""
        layer = self.layers[OBJECTS]
        layer.selected_label = self._object_at(position) or self._new_label()

    def _new_label(self) -> int:
        """Return the number of the next object, for which the layer has room then."""
        with self._own_change:
            make_room(self.layers[OBJECTS], self._highest + 1)
        return self._highest + 1

    def _object_at(self, position: Any) -> int:
        """Return the id of the accepted object at a place of the world, 0 where there is none."""
        return int(self.layers[OBJECTS].get_value(position, world=True) or 0)

    def _on_paint(self, event: Any) -> None:
        """Note where was painted, from the item of the layer's own history."""
        if self._own_change:
            return
        layer = self.layers[OBJECTS]
        windows = [window_of(atom, layer.data.shape) for atom in event.value]
        self._painted = around([self._painted, *windows] if self._painted else windows)
        self._highest = max(self._highest, int(layer.selected_label))
        self._rest.start()

    def _on_replaced(self, event: Any = None) -> None:
        """Note that all of the plane may be another."""
        if self._own_change:
            return
        rows, cols = self.layers[OBJECTS].data.shape
        self._painted = slice(0, rows), slice(0, cols)
        self._highest = int(self.layers[OBJECTS].data.max(initial=0))
        self._rest.start()

    def _on_mouse(self, viewer: Viewer, event: Any) -> Iterator[None]:
        """A press and release at one place in click mode is a prompt; a drag is left to napari."""
        if self.building:
            return
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
        tapped = bool(np.abs(np.array(event.pos) - start).max() <= TAP)
        if not navigating and layer in (self.layers.get(key) for key in PROMPTS):
            self.prompts.read_soon(negative and self.mode == "scribble", tapped)
        point = self.pixel_at(event.position) if tapped else None
        if not navigating and layer is self.layers.get(AREAS):
            self.areas.read_soon(point)
        if self.mode != "click" or not navigating:
            return
        if point is not None:
            self.prompts.click(NEGATIVE if negative else POSITIVE, point)


def _set(layer: Layer, name: str, value: Any) -> None:
    """Give a layer a property that it does not have yet: napari draws it anew even if nothing changes."""
    if not np.array_equal(np.asarray(getattr(layer, name)), np.asarray(value)):
        setattr(layer, name, value)
