from __future__ import annotations

import numpy as np
import pytest

from naslora_napari.live.visiting import centre, neighbour
from naslora_napari.store import Annotation, ObjectInfo
from naslora_trainer.data import areas_in
from naslora_trainer.errors import UserError


def test_objects_follow_each_other_around() -> None:
    assert neighbour((), 0, 1) == 0
    ids = {9, 2, 5}
    assert [neighbour(ids, key, 1) for key in (0, 2, 3, 5, 9)] == [2, 5, 5, 9, 2]
    assert [neighbour(ids, key, -1) for key in (0, 2, 3, 5, 9)] == [9, 9, 2, 2, 5]


def test_the_centre_of_an_object_is_that_of_its_box() -> None:
    labels = np.zeros((64, 64), np.int32)
    labels[30:34, 30:38] = 5
    annotation = Annotation(labels, {5: ObjectInfo()}, areas=areas_in(labels))
    assert centre(annotation, "a", 5) == (31.5, 33.5)
    with pytest.raises(UserError, match="no object 6"):
        centre(annotation, "a", 6)
