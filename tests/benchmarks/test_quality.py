"""The figures of the quality benchmark are what they are said to be."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from naslora_trainer.errors import UserError

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def quality(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("quality")


def test_mean_spread_and_gains(quality: ModuleType) -> None:
    def run(method: str, target: str, clicks: tuple[float, ...]) -> list[dict[str, Any]]:
        told = {"method": method, "target": target}
        return [{**told, "seed": seed, **dict.fromkeys(quality.MEASURES, click)} for seed, click in enumerate(clicks)]

    runs = [*run("nas-lora", "leaf", (0.8, 0.9, 0.85)), *run("nas-lora", "nuclei", (0.6, 0.7, 0.8))]
    runs += [*run("lora", "leaf", (0.6, 0.7, 0.65)), *run("lora", "nuclei", (0.6, 0.7, 0.7))]
    summary = quality.summarise(runs, ["leaf", "nuclei"], ["nas-lora", "lora"])
    assert summary["nas-lora"]["leaf"]["click_1"] == {"mean": pytest.approx(0.85), "spread": pytest.approx(0.05)}
    assert summary["nas-lora"]["mean"]["box"] == pytest.approx((0.85 + 0.7) / 2)
    found = quality.against(summary, "lora")
    assert found["gain"] == {"leaf": pytest.approx(0.2), "nuclei": pytest.approx(0.1 / 3)}
    assert found["above_by_more_than_spread"] == ["leaf"]  # nuclei: 0.03 with a spread of 0.1
    assert "| nas-lora | leaf | 0.850 +- 0.050 |" in quality.table(summary)
    same = quality.paired(runs, "lora")
    assert same["leaf"] == {"mean": pytest.approx(0.2), "spread": pytest.approx(0.0)}
    assert same["nuclei"] == {"mean": pytest.approx(0.1 / 3), "spread": pytest.approx(0.1 / 3**0.5)}


def test_a_target_and_a_method_may_have_learning_rates_of_their_own(quality: ModuleType) -> None:
    rates = quality.rates_of(["0.004", "vessels=0.008", "vessels/nas-lora=0.016", "lora=0.001"])
    assert rates.keys() == quality.TARGETS.keys() and all(of.keys() == {*quality.METHODS} for of in rates.values())
    assert (rates["leaf"]["nas-lora"], rates["vessels"]["nas-lora"]) == (0.004, 0.016)
    assert (rates["vessels"]["conv-lora"], rates["vessels"]["lora"]) == (0.008, 0.001)
    assert quality.rates_of([])["leaf"]["lora"] == quality.RECIPE["adapter_lr"]


@pytest.mark.parametrize("word", ["fast", "lora=", "lorra=0.1", "vessels/lorra=0.1"])
def test_a_word_that_is_no_learning_rate_is_refused(quality: ModuleType, word: str) -> None:
    with pytest.raises(UserError, match="is no"):
        quality.rates_of([word])
