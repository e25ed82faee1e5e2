"""The benchmark of the window, with a few clicks in a real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "interactive.py"
FEW = {
    "--pairs": 2,
    "--training-clicks": 10,
    "--steps": 5,
    "--changes": 1,
    "--batch": 1,
    "--clicks": 10,
    "--accepts": 3,
    "--swaps": 1,
    "--strokes": 1,
    "--side": 256,
}
KEYS = (
    "click_ratio_p50",
    "click_ratio_p95",
    "training_ratio_p95",
    "stall_ms_max",
    "dock_open_s",
    "brush_ratio",
    "brush_ratio_two_layers",
    "jump_ratio_p50",
    "jump_ratio_no_draw_p50",
    "jump_ratio_over_bound_p50",
)


def test_it_measures_a_real_window(tmp_path: Path) -> None:
    options = [text for name, value in FEW.items() for text in (name, str(value))]
    command = [sys.executable, str(BENCHMARK), "--json", *options]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout)
    assert all(found[key] > 0 for key in KEYS) and abs(found["rss_growth"]) < 1
    for clicks in (found["jumps"], *found["still"].values()):
        assert clicks["count"] == clicks["same_masks"] == 2
    assert found["session"]["clicks"] == 10 and found["session"]["accepts"] == 3 and found["session"]["swaps"] == 1
    assert found["training"]["niceness"] > 0 and found["training"]["threads_allowed"] <= found["training"]["cores"]
    assert found["dock"]["torch_imported"] is False
    assert set(found["stalls"]) >= {"encode", "train", "swap", "batch", "change the image"}
