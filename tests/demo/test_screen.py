from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from naslora_napari.demo.screen import screen
from naslora_trainer.errors import UserError

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Xvfb is for Linux")


@pytest.fixture
def no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


def test_a_window_needs_a_screen(no_screen: None) -> None:
    with pytest.raises(UserError, match="--headless"), screen(headless=False):
        pass


def test_what_makes_a_virtual_screen_is_named_when_it_is_missing(
    no_screen: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="apt-get install xvfb"), screen(headless=True):
        pass


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb")
def test_a_virtual_screen_comes_and_goes(no_screen: None) -> None:
    ask = [
        sys.executable,
        "-c",
        "from qtpy.QtWidgets import QApplication; print(QApplication([]).primaryScreen().size())",
    ]
    with screen(headless=True):
        assert os.environ["DISPLAY"].startswith(":")
        told = subprocess.run(ask, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "1920" in told and "DISPLAY" not in os.environ
