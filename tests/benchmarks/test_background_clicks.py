from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from naslora_trainer.data import TrainingImage, objects_of

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_clicks_are_beside_the_labels_that_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    module = importlib.import_module("background_clicks")
    labels = np.zeros((120, 120), np.int32)
    for i in range(6):
        labels[20 * i : 20 * i + 8, 50:58] = i + 1
    whole = TrainingImage("a", np.zeros((120, 120, 3), np.uint8), labels, True)
    few = module.sparse(whole, np.random.default_rng(0))
    assert len(objects_of(few)) == module.KEPT and not few.complete
    exact = module.clicked(few, whole, 0, True)
    assert exact.nothing is not None and exact.labels is few.labels and not exact.nothing[few.labels > 0].any()
    rows, cols = np.nonzero(exact.nothing)
    assert ((cols > 35) & (cols < 72)).all() and len(rows) >= module.KEPT
    assert module.clicked(few, whole, 0, True).nothing.tolist() == exact.nothing.tolist()
