"""Every action of the dock with its keys, and their binding while the dock lives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import napari
from napari import Viewer
from napari.layers import Layer
from napari.utils.action_manager import action_manager

from . import shortcuts
from .shortcuts import DockActions
from .widgets import Button, press

if TYPE_CHECKING:
    from .dock import NasLoraDock


@dataclass(frozen=True)
class Action:
    """Something a person can ask the dock for.

    Attributes
    ----------
    name : str
        Its id in napari's settings, after ``naslora-napari:``.
    description : str
        What napari's Preferences > Shortcuts calls it.
    keys : tuple of str
        Its keys as long as the person chose no others; at most two, which is what napari's settings can show.
    do : callable
        Does it.
    button : callable, optional
        The button that does the same, which shows the keys.
    """

    name: str
    description: str
    keys: tuple[str, ...]
    do: Callable[[NasLoraDock], object]
    button: Callable[[NasLoraDock], Button] | None = None


def _mode(mode: str, key: str, description: str) -> Action:
    """Return the action that chooses a mode of the mouse."""
    return Action(
        f"mode_{mode}",
        f"NAS-LoRA: {description}",
        (key,),
        lambda dock: dock.set_mode(mode),
        lambda dock: dock.prompt_panel.mode_buttons[mode],
    )


def _pressing(name: str, key: str, description: str, button: Callable[[NasLoraDock], Button]) -> Action:
    """Return an action that is pressing a button, so that it does nothing while the button cannot be pressed."""
    return Action(name, f"NAS-LoRA: {description}", (key,), lambda dock: press(button(dock)), button)


def _editing(
    name: str, keys: tuple[str, ...], description: str, button: Callable[[NasLoraDock], Button] | None = None
) -> Action:
    """Return an action that is a method of :class:`naslora_napari._qt.editing.Editing`."""
    return Action(name, f"NAS-LoRA: {description}", keys, lambda dock: getattr(dock.editing, name)(), button)


#: In the order in which napari's settings show them.
ACTIONS = (
    _mode("click", "C", "prompt with clicks"),
    _mode("box", "B", "prompt with a box"),
    _mode("scribble", "S", "prompt with scribbles"),
    _mode("lasso", "L", "prompt with a line around the object"),
    _mode("brush", "P", "paint on the accepted objects"),
    _mode("area", "O", "draw areas in which every object is labelled"),
    _pressing("hover", "H", "preview under the mouse on or off", lambda dock: dock.prompt_panel.hover_button),
    _editing("accept", ("A", "Enter"), "accept the mask as an object", lambda dock: dock.prompt_panel.accept_button),
    _editing("tidy", ("T",), "tidy the mask", lambda dock: dock.prompt_panel.tidy_button),
    _editing("next_candidate", ("N",), "show another mask that fits", lambda dock: dock.prompt_panel.next_button),
    _editing("discard", ("Escape",), "forget prompts and mask", lambda dock: dock.prompt_panel.discard_button),
    _editing("undo", ("U", "Ctrl+Z"), "take back the last step", lambda dock: dock.prompt_panel.undo_button),
    _editing("redo", ("Y", "Ctrl+Shift+Z"), "do the last step again", lambda dock: dock.prompt_panel.redo_button),
    _editing("reopen", ("R",), "reopen the object under the mouse"),
    _editing("delete", ("X",), "delete the object under the mouse"),
    _editing("give_class", ("G",), "give the object under the mouse the chosen class"),
    _editing("review", ("W",), "call the object under the mouse doubtful, then reviewed, then neither"),
    _editing("split", ("K",), "split the object under the mouse"),
    _editing("merge", ("M",), "merge the object under the mouse with the next one"),
    _editing("next_object", (".",), "go to the next object"),
    _editing("previous_object", (",",), "go to the previous object"),
    Action("follow", "NAS-LoRA: follow the object to the next planes", ("F",), lambda dock: dock.following.start(1)),
    Action("follow_back", "NAS-LoRA: follow it to the planes before", ("D",), lambda dock: dock.following.start(-1)),
    _pressing("previous_image", "PageUp", "previous image", lambda dock: dock.open_panel.previous_button),
    _pressing("next_image", "PageDown", "next image", lambda dock: dock.open_panel.next_button),
    _pressing("unfinished", "Shift+PageDown", "next unfinished image", lambda dock: dock.open_panel.unfinished_button),
    _pressing("complete", "I", "the image is complete, or not", lambda dock: dock.open_panel.complete_button),
    _pressing("skip", "Shift+I", "skip the image, or not", lambda dock: dock.open_panel.skip_button),
    _pressing("open_image", "Ctrl+Shift+I", "open an image", lambda dock: dock.open_panel.image_button),
    _pressing("open_folder", "Ctrl+Shift+F", "open a folder", lambda dock: dock.open_panel.folder_button),
    _pressing("open_project", "Ctrl+Shift+J", "open a project", lambda dock: dock.open_panel.project_button),
    _pressing("finetune", "Ctrl+Shift+L", "fine-tune on my labels", lambda dock: dock.train_panel.start_button),
    _pressing("stop_training", "Ctrl+Shift+X", "stop the fine-tuning", lambda dock: dock.train_panel.cancel_button),
    _pressing("rollback", "Ctrl+Shift+B", "back to the previous model", lambda dock: dock.train_panel.rollback_button),
    _pressing("use_anyway", "Ctrl+Shift+U", "use the new model anyway", lambda dock: dock.train_panel.force_button),
    _pressing("segment", "Ctrl+Shift+D", "segment a folder", lambda dock: dock.batch_panel.run_button),
    _pressing("stop_segment", "Ctrl+Shift+K", "stop the segmentation", lambda dock: dock.batch_panel.cancel_button),
    _pressing("review_run", "Ctrl+Shift+G", "review a segmented folder", lambda dock: dock.batch_panel.review_button),
    _pressing("accept_next", "Shift+Enter", "accept the image, open the next one", lambda dock: dock.reviewing.button),
    _pressing("look", "Ctrl+Shift+R", "look at the segmented folder", lambda dock: dock.batch_panel.open_button),
)


class Keys:
    """Binds the keys to the viewer and the layers of a dock, shows them there, and gives them back as they were.

    Parameters
    ----------
    viewer : Viewer
        Gets the keys.
    dock : NasLoraDock
        Does what they ask.
    """

    def __init__(self, viewer: Viewer, dock: NasLoraDock) -> None:
        self._viewer, self._dock = viewer, dock
        self._functions = {action.name: self._function(action) for action in ACTIONS}
        #: What has the keys, and its own keys before that.
        self._viewer_before = (viewer, dict(viewer.keymap))
        self._layers_before: list[tuple[Layer, dict[Any, Any]]] = []
        if not DockActions.docks:
            for action in ACTIONS:
                shortcuts.register(action.name, action.description, action.keys)
        DockActions.docks.append(self._perform)
        action_manager.events.shortcut_changed.connect(self._on_change)
        self._follow()

    def bind(self, layers: Iterable[Layer]) -> None:
        """Bind the keys to the layers of the dock as well: a layer's own keys come before the viewer's."""
        known = {id(layer): before for layer, before in self._layers_before}
        self._layers_before = [(layer, known.get(id(layer), dict(layer.keymap))) for layer in layers]
        self._follow()

    def shown(self, name: str) -> str:
        """Return the first key of an action as a person reads it; empty when it has none."""
        return next((shortcuts.readable(key) for key in shortcuts.keys_of(name)), "")

    def release(self) -> None:
        """Unbind them."""
        action_manager.events.shortcut_changed.disconnect(self._on_change)
        DockActions.docks.remove(self._perform)
        if not DockActions.docks:
            for action in ACTIONS:
                shortcuts.unregister(action.name, action.description)
        for owner, before in (self._viewer_before, *self._layers_before):
            owner.keymap = before
        self._layers_before.clear()

    def _on_change(self, event: Any) -> None:
        if shortcuts.is_ours(event.name):
            self._follow()

    def _follow(self) -> None:
        """Bind and show the keys that the actions have now."""
        keys = {action: shortcuts.keys_of(action.name) for action in ACTIONS}
        for owner, before in (self._viewer_before, *self._layers_before):
            ours = {key: self._functions[action.name] for action, of_it in keys.items() for key in of_it}
            owner.keymap = {**before, **ours}
        for action, of_it in keys.items():
            if action.button is not None:
                action.button(self._dock).show_keys([shortcuts.readable(key) for key in of_it])
        self._dock.prompt_panel.show_keys({action.name: self.shown(action.name) for action in ACTIONS})

    def _function(self, action: Action) -> Callable[[Any], None]:
        """Return what napari calls with the viewer or the layer that has the key."""

        def function(_owner: Any) -> None:
            action.do(self._dock)

        function.__name__ = shortcuts.function_name(action.name)
        return function

    def _perform(self, name: str) -> None:
        """Do an action that napari was asked for elsewhere, if it means this viewer."""
        if napari.current_viewer() is self._viewer:
            self._functions[name](self._viewer)
