from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from naslora_trainer.data import TrainingImage, objects_of

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_three_labels_stay_and_they_are_the_same_for_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    module = importlib.import_module("sparse")
    sparse = module.sparse
    labels = np.zeros((60, 60), np.int32)
    for i in range(6):
        labels[10 * i : 10 * i + 5, :5] = i + 1
    image = TrainingImage("a", np.zeros((60, 60, 3), np.uint8), labels, True)
    unknown, background = sparse(image, 0, False), sparse(image, 0, True)
    assert len(objects_of(image)) > module.KEPT == len(objects_of(unknown))
    assert (unknown.complete, background.complete) == (False, True)
    np.testing.assert_array_equal(unknown.labels, background.labels)
    np.testing.assert_array_equal(unknown.labels, np.where(unknown.labels > 0, image.labels, 0))
    assert unknown.image is image.image
    assert objects_of(sparse(image, 1, False)) != objects_of(unknown)
