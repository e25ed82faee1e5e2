"""Empty layers of prompts are not drawn, and texts that a person gives them are."""

from __future__ import annotations

from typing import Any

from naslora_napari._qt.prompt_layers import NEGATIVE, POSITIVE
from naslora_trainer.prompts import deepest_point

from .conftest import Window, large_objects


def node_of(window: Window, key: str) -> Any:
    """Return what stands for a layer of prompts in the scene."""
    return window.viewer.window._qt_viewer.canvas.layer_to_visual[window.dock.canvas.layers[key]].node


def test_a_layer_is_drawn_while_it_has_something(window: Window) -> None:
    assert not node_of(window, POSITIVE).visible
    window.click(deepest_point(large_objects()[0]))
    node, layer = node_of(window, POSITIVE), window.dock.canvas.layers[POSITIVE]
    assert node.visible and not node_of(window, NEGATIVE).visible
    assert not node.text.visible
    layer.text = {"string": {"constant": "here"}}
    assert node.text.visible
    layer.visible = False
    assert not node.visible and layer.visible is False
