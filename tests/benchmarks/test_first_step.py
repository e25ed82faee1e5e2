"""The way from the button to the first step: its parts, as the events of a training tell them."""

from __future__ import annotations

from pathlib import Path

import pytest

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
    import first_step
    from first_step import PARTS, parts_of, summary

EVENTS = [
    {"event": "heartbeat", "time": 102.0},
    {"event": "started", "time": 103.5},
    {"event": "progress", "step": 0, "loss": None, "time": 103.6},
    {"event": "progress", "step": 1, "loss": 0.7, "time": 105.25},
    {"event": "progress", "step": 2, "loss": 0.6, "time": 106.0},
]


def test_the_parts_of_the_way_add_up() -> None:
    found = parts_of(EVENTS, 100.0, 101.25, 105.5)
    assert [found[part] for part in PARTS] == [1.25, 2.25, 1.75, 0.25]
    assert found["first_step_s"] == pytest.approx(sum(found[part] for part in PARTS))
    with pytest.raises(StopIteration):  # a training without a step is no result
        parts_of(EVENTS[:3], 100.0, 101.25, 105.5)


def test_the_figures_in_sentences() -> None:
    run = parts_of(EVENTS, 100.0, 101.25, 105.5) | {"cancel_s": 1.5}
    found = run | {"first_step_s_first": 7.0, "first_step_s_max": 8.0, "cancel_s_max": 2.5, "runs": [run, run]}
    said = summary(found)
    assert "5.5 s (median of 2), 7.0 s the first time, at most 8.0 s: labels collected 1.2 s" in said
    assert said.endswith("Cancelled in 1.5 s, at most 2.5 s.")


def test_no_run_at_all_is_wrong_use(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["first_step.py", "--runs", "0"])
    with pytest.raises(SystemExit) as ended:
        first_step.main()
    assert ended.value.code == 2 and "must be at least 1" in capsys.readouterr().err
