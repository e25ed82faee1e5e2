"""The figures of the folder benchmark: means over seeds, and times over all targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
    from batch import WAYS, summarise


def scored(f1: float, seconds: float) -> dict[str, Any]:
    ways = {way: {"f1": f1, "ap": f1 / 2, "recall": f1, "seconds": seconds} for way in WAYS}
    ways["amg"]["seconds"] = 10 * seconds
    return {"images": 7, "objects": 60, "encode_s": seconds / 2, **ways}


def test_scores_are_means_over_seeds_and_times_are_sums() -> None:
    parts = {f"score-leaf-{seed}": scored(f1, seed + 1) for seed, f1 in enumerate((0.8, 1.0))}
    parts |= {f"score-nuclei-{seed}": scored(0.5, 1) for seed in range(2)}
    parts |= {"workers-1": {"seconds": 30.0}, "workers-2": {"seconds": 20.0}, "peak_mb_100": {"peak_mb": 1000.0}}
    found = summarise(parts, ["leaf", "nuclei"], [0, 1])
    leaf = found["targets"]["leaf"]
    assert leaf["f1_auto"] == pytest.approx(0.9) and leaf["by_seed"]["ap_amg"] == [0.4, 0.5]
    assert leaf["over_seeds"]["f1_auto"]["spread"] == pytest.approx(0.2 / 2**0.5)
    assert (leaf["images"], leaf["objects"], leaf["speed"]) == (7, 60, 10)
    mean = found["over_targets"]  # of 0.8 and 0.5, of 1.0 and 0.5
    assert mean["f1_auto"]["mean"] == pytest.approx(0.7) and mean["f1_auto"]["spread"] == pytest.approx(0.1 / 2**0.5)
    assert (mean["images"], mean["objects"]) == (14, 120)
    assert found["speed_ratio_amg"] == 10 and found["encode_ratio"] == 2
    assert found["scaling_2"] == 1.5 and found["peak_mb_100"] == 1000
