from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("kept_share")


def test_changes_are_scaled_and_the_rest_is_not(benchmark: Any) -> None:
    names = ("lora.a.up", "lora.a.down", "decoder.b", "decoder_lora.c.up", "decoder_lora.c.down", "head.d")
    adapter = benchmark.Adapter({name: torch.ones(2, 2) for name in names}, meta=None)
    half = benchmark.scaled(adapter, 0.5).tensors
    assert [float(half[name].max()) for name in names] == [0.5, 1, 0.5, 0.5, 1, 1]


def test_seeds_are_summed_up_by_method_and_target(benchmark: Any) -> None:
    def run(method: str, share: float, click: float) -> dict[str, Any]:
        dice = {"click_1": click, "click_3": 0.5, "box": 0.5}
        return {"method": method, "target": "leaf", "share": share, **dict.fromkeys(benchmark.WAYS, dice)}

    found = benchmark.summarise([run("lora", 1.0, 0.4), run("lora", 0.5, 0.6), run("nas-lora", 0.0, 0.9)])
    assert found["lora"]["leaf"]["shares"] == [1.0, 0.5] and found["nas-lora"]["leaf"]["shares"] == [0.0]
    assert found["lora"]["leaf"]["kept"]["click_1"]["mean"] == pytest.approx(0.5)
