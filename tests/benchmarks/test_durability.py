from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_nothing_is_lost_by_a_few_kills_and_damaged_files() -> None:
    path = os.pathsep.join(str(ROOT / part) for part in ("", "trainer", "resources"))
    command = [sys.executable, ROOT / "benchmarks" / "durability.py", "--json"]
    for name, number in {"kills": 4, "mutations": 40, "images": 20, "accepts": 5}.items():
        command += [f"--{name}", str(number)]
    ran = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False)
    found = json.loads(ran.stdout)
    assert found["failures"] == [] and ran.returncode == 0
    assert found["kills"] == 4 and found["steps"] >= 4 and found["lost"] == found["unreadable"] == 0
    assert found["mutated_files"] == 40 and found["crashes_or_hangs"] == found["silent_wrong"] == 0
    assert found["refused"] and found["recovered"] and found["open_objects"] == 414
