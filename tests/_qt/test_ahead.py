"""The next image is encoded while the hand rests, and embeddings outlive the window."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from segment_anything import SamPredictor

from naslora_napari._qt import ahead
from naslora_trainer.prompts import deepest_point

from .conftest import SECOND, Window, large_objects


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of the images that were encoded, one after the other."""
    shapes: list[tuple[int, ...]] = []
    encode = SamPredictor.set_image

    def counted(self: SamPredictor, rgb: object) -> None:
        shapes.append(rgb.shape)  # type: ignore[attr-defined]
        encode(self, rgb)

    monkeypatch.setattr(SamPredictor, "set_image", counted)
    return shapes


def test_the_next_image_is_there_at_once_and_after_a_restart(
    encoded: list[tuple[int, ...]], closed_window: Window
) -> None:
    window = closed_window
    window.dock.ahead._rest.setInterval(200)  # not to wait so long
    window.open(window.folder)
    window.until(lambda: len(encoded) == 2)
    window.settle()
    with window.qtbot.waitSignal(window.dock.imageReady):
        window.press(Qt.Key.Key_PageDown)
    assert window.dock.session is not None and window.dock.session.name == SECOND
    window.click(deepest_point(large_objects(SECOND)[0]))
    assert window.answer().mask.any() and len(encoded) == 2

    window.dock.predictor.cache = ahead.embedding_cache()  # as a new window has it
    window.open(window.folder)
    assert len(encoded) == 2
