"""The benchmark of swaps as a program; its times are not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "swap.py"


def test_answers_are_those_of_one_model_while_it_is_swapped() -> None:
    command = [sys.executable, str(BENCHMARK), "--swaps", "2", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["swaps"], found["errors"], found["torn"]) == (2, 0, 0)
    assert found["models_that_answered"] == 2 and found["clicks"] > 10
    assert 0 <= found["exchange_ms_max"] <= found["gap_ms_max"] and found["gap_ms_p50"] <= found["gap_ms_p95"]
    assert found["wait_ms_usual"]["p50"] > 1 and found["machine"]["cpu"]
