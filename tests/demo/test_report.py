from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from naslora_napari.demo.measure import machine, percentiles, sample_images, versions
from naslora_napari.demo.report import Step, write_failure, write_report
from naslora_trainer.data import objects_of


@pytest.fixture
def figures() -> dict[str, Any]:
    dice = {"raw": 0.05, "before": 0.6, "after": 0.8}
    latency = {"p50": 12.0, "p95": 30.0}
    return {
        "held_out": {"click": dice, "box": dice},
        "latency_ms": {"idle": latency, "training": latency, "after": latency},
        "first_step_s": 4.5, "train_s": 100.0, "peak_mb": 2000.0, "swap_ms": 900.0, "swap_gap_ms": 0.01,
        "objects": {"labelled": 82, "drawn": 4, "held_out": 71, "batch": 40},
        "clicks": {"idle": 24, "training": 24, "after": 24},
        "machine": machine(), "date": "2026-11-24T00:00:00+00:00", "versions": versions(),
    }  # fmt: skip


def test_percentiles() -> None:
    assert percentiles([float(i) for i in range(101)]) == {"p50": 50.0, "p95": 95.0}
    for bad in ([], [-1.0], [float("nan")]):
        with pytest.raises(ValueError, match="latencies"):
            percentiles(bad)


def test_the_sample_has_two_halves() -> None:
    assert [sum(len(objects_of(image)) for image in sample_images(part)) for part in ("labelled", "held_out")] == [
        82,
        71,
    ]


def test_the_report_is_written_for_people_and_programs(tmp_path: Path, figures: dict[str, Any]) -> None:
    write_report(tmp_path, figures, [Step("Cl<ick", 'a "caption" & more', "01.png")], "loop.png")
    assert json.loads((tmp_path / "report.json").read_text()) == figures
    page = (tmp_path / "report.html").read_text()
    assert "Cl&lt;ick" in page and "&quot;caption&quot; &amp; more" in page and "Cl<ick" not in page
    assert "0.800" in page and 'src="01.png"' in page
    with pytest.raises(ValueError, match="keys"):
        write_report(tmp_path, {"held_out": {}}, [])


def test_a_failure_leaves_no_figures_of_an_earlier_run(tmp_path: Path, figures: dict[str, Any]) -> None:
    write_report(tmp_path, figures, [])
    write_failure(tmp_path, "The disk <is> full.", [])
    assert (
        not (tmp_path / "report.json").exists()
        and "The disk &lt;is&gt; full." in (tmp_path / "report.html").read_text()
    )
