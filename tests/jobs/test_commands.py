"""Command lines and environments of the children."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from naslora_napari.jobs import child_environment, finetune_command, segment_command
from naslora_napari.jobs.cores import cores, live_cores


@pytest.mark.parametrize(("threads", "expected"), [(3, "3"), (0, "1"), (None, str(max(1, cores() - live_cores())))])
def test_threads_are_capped(threads: int | None, expected: str) -> None:
    environment = child_environment(threads)
    assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == expected


def test_the_environment_of_this_process_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASLORA_SOMETHING", "ü")
    monkeypatch.setenv("PYTHONPATH", "given")
    environment = child_environment()
    assert environment["NASLORA_SOMETHING"] == "ü"
    assert environment["PYTHONPATH"].split(os.pathsep)[-1] == "given"
    assert os.environ["PYTHONPATH"] == "given"


def test_a_child_finds_the_packages_and_not_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "naslora_trainer.py").write_text("raise SystemExit('the wrong one')", encoding="utf-8")
    command = [*finetune_command(tmp_path / "no run")[:-2], "naslora_trainer", "--help"]
    result = subprocess.run(
        command, cwd=tmp_path, env=child_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "run folder" in result.stdout


def test_finetune_command_keeps_a_path_with_spaces_whole(tmp_path: Path) -> None:
    command = finetune_command(tmp_path / "a run")
    assert command[0] == sys.executable and command[-1] == str(tmp_path / "a run")


def test_segment_command_passes_what_was_chosen() -> None:
    command = segment_command("-odd", "o ut", adapter="a.safetensors", resume=True, measure="m.csv")
    assert command[-2:] == ["--", "-odd"]
    for option, value in (("--out", "o ut"), ("--adapter", "a.safetensors"), ("--measure", "m.csv")):
        assert command[command.index(option) + 1] == value
    assert "--resume" in command and "--recursive" not in command and "--also" not in command
    more = segment_command("folder", "out", extras=("overlays", "coco"))
    assert more[more.index("--also") + 1] == "overlays,coco"
