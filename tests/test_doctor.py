"""What the doctor finds, and what it says to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from naslora_napari import doctor
from naslora_resources.registry import models


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(doctor, "_cache_folder", lambda: tmp_path)
    return tmp_path


def test_a_download_cut_short_is_named_and_a_whole_one_listed(cache: Path) -> None:
    assert doctor._models().found.startswith("downloaded: none")
    file = cache / "models" / "sam_vit_b.pth"
    file.parent.mkdir()
    file.write_bytes(b"cut short")
    check = doctor._models()
    assert (check.state, check.found) == ("warn", "incomplete: sam_vit_b") and str(file.parent) in check.advice
    with file.open("r+b") as opened:
        opened.truncate(models()["sam_vit_b"].size_bytes)
    assert doctor._models().found == "downloaded: sam_vit_b"


def test_a_large_cache_is_pointed_out(cache: Path) -> None:
    assert (doctor._cache().state, doctor._cache().advice) == ("ok", "")
    with (cache / "large").open("wb") as file:
        file.truncate(2 * doctor.GIB)
    assert "2.0 GB" in doctor._cache().found and "Delete it" in doctor._cache().advice


def test_a_missing_cache_folder_is_no_trouble(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_cache_folder", lambda: cache / "not" / "there")
    assert doctor._cache().state == "ok"


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a usable GPU")
def test_an_unused_card_of_nvidia_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor._gpu().state == "ok"
    for name in ("nvidia-smi", "nvidia-smi.exe"):
        (tmp_path / name).write_text("#!/bin/sh\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    check = doctor._gpu()
    assert check.state == "warn" and "torch" in check.found and "To use it" in check.advice


def test_a_check_that_breaks_is_a_failed_check() -> None:
    def _weather() -> doctor.Check:
        raise RuntimeError("rain")

    check = doctor._safely(_weather)
    assert (check.name, check.state, check.found) == ("weather", "fail", "RuntimeError: rain")


@pytest.mark.skipif(not doctor._has_screen(), reason="there is no screen")
def test_opengl_is_asked_in_a_process_of_its_own() -> None:
    check = doctor._opengl()
    assert check.state in ("ok", "warn") and check.found[0].isdigit()
