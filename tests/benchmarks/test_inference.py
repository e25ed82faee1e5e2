"""The benchmark of the merged model as a program; its times are not judged here, its counts are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "inference.py"


def run(data: Path, repeats: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARK), "--data", str(data), "--repeats", str(repeats), "--json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


def test_a_merged_model_does_the_very_same_operations(tmp_path: Path) -> None:
    folder = tmp_path / "dsb2018_nuclei" / "images"
    folder.mkdir(parents=True)
    iio.imwrite(folder / "000.png", np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
    done = run(tmp_path, 1)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["same_operations"] and found["ops_merged"] == found["ops_stock"] > 100
    assert found["flops_merged"] == found["flops_stock"] > 1e9
    assert found["ops_branch"] > found["ops_stock"] and 1 < found["flops_branch_over_stock"] < 1.01
    for key in ("ratio_merged", "ratio_merged_cpu", "ratio_branch", "ratio_branch_cpu", "click_ratio"):
        spread = found[key]
        assert 0 < spread["p25"] <= spread["median"] <= spread["p75"] and spread["first_ms"] > 1
    assert found["machine"]["cpu"] and found["machine"]["cores"] >= 1 and found["machine"]["torch"]


def test_a_folder_without_images_is_a_failure(tmp_path: Path) -> None:
    done = run(tmp_path, 1)
    assert done.returncode == 1 and not done.stdout and "Traceback" not in done.stderr
