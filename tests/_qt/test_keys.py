"""Every action has a key, which napari's settings show and change."""

from __future__ import annotations

from napari.utils.action_manager import action_manager
from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtCore import Qt

from naslora_napari._qt.keys import ACTIONS
from naslora_trainer.prompts import deepest_point

from .conftest import Window, large_objects


def test_no_key_is_given_twice() -> None:
    keys = [coerce_keybinding(key) for action in ACTIONS for key in action.keys]
    assert len(keys) == len(set(keys)) and all(action.keys for action in ACTIONS)


def test_every_button_of_the_prompt_panel_shows_its_key(window: Window) -> None:
    panel = window.dock.prompt_panel
    assert panel.accept_button.text() == "Accept (A)"
    assert all("(" in button.toolTip() for button in panel.mode_buttons.values())


def test_a_key_that_is_changed_in_the_settings_works_at_once(window: Window) -> None:
    name = "naslora-napari:accept"
    before = list(action_manager._shortcuts[name])
    try:
        action_manager.unbind_shortcut(name)
        action_manager.bind_shortcut(name, coerce_keybinding("Q"))
        assert window.dock.prompt_panel.accept_button.text() == "Accept (Q)"
        window.click(deepest_point(large_objects()[0]))
        window.press(Qt.Key.Key_A)
        assert not window.on_disk().any()
        window.press(Qt.Key.Key_Q)
        assert window.on_disk().any()
    finally:
        action_manager.unbind_shortcut(name)
        for key in before:
            action_manager.bind_shortcut(name, key)


def test_the_settings_forget_the_actions_with_the_dock(window: Window) -> None:
    assert action_manager._shortcuts["naslora-napari:accept"]
    window.dock.close_down()
    assert not action_manager._shortcuts.get("naslora-napari:accept")
    assert "A" not in {str(key) for key in window.viewer.keymap}
