from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from naslora_trainer.data import TrainingImage, objects_of

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_three_labels_stay_and_pixels_do_not_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    module = importlib.import_module("few_labels")
    labels = np.zeros((60, 60), np.int32)
    for i in range(6):
        labels[10 * i : 10 * i + 5, :5] = i + 1
    image = TrainingImage("a", np.zeros((60, 60, 3), np.uint8), labels, True)
    three = module.with_labels(image, 0, module.WAYS["three"])
    assert len(objects_of(three)) == 3 and not three.complete and three.image is image.image
    np.testing.assert_array_equal(three.labels, np.where(three.labels > 0, image.labels, 0))
    assert module.with_labels(image, 0, module.WAYS["all"]) is image
    assert objects_of(module.with_labels(image, 1, module.KEPT)) != objects_of(three)
