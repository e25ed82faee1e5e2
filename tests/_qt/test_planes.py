"""Planes of labels as napari holds them; needs no window."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels

from naslora_napari._qt.planes import ROOM, ShownObjects, make_room, no_preview


@pytest.mark.parametrize(("highest", "dtype"), [(0, np.uint16), (ROOM - 1, np.uint16), (ROOM, np.int32)])
def test_objects_have_16_bits_while_there_is_room(highest: int, dtype: type) -> None:
    labels = np.array([[0, 3], [highest, 0]], np.int32)
    objects = ShownObjects.of(labels)
    shown = objects.plane
    assert objects.highest == max(highest, 3)
    assert shown.dtype == dtype and np.array_equal(shown, labels)
    shown[:] = 7
    assert labels[1, 0] == highest, "the layer has a copy"
    assert ShownObjects.of(np.zeros((0, 0), np.int32)).plane.shape == (0, 0)


def test_a_layer_is_widened_for_a_number_that_does_not_fit() -> None:
    layer = Labels(ShownObjects.of(np.array([[0, 5]], np.int32)).plane)
    make_room(layer, 65_535)
    assert layer.data.dtype == np.uint16
    make_room(layer, 65_536)
    assert layer.data.dtype == np.int32 and layer.data.tolist() == [[0, 5]]
    layer.data_setitem((np.array([0]), np.array([0])), np.array([70_000]))
    assert layer.data.tolist() == [[70_000, 5]]


def test_the_empty_preview_of_a_large_image_is_small() -> None:
    assert no_preview((40, 60)).shape == (40, 60)
    assert no_preview((4096, 300)).shape == (1024, 300)
