"""What is not on disk, and who else has the project, is told in the window; nothing is dropped."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from naslora_napari.store.annotations import read_annotation
from naslora_napari.store.locking import SILENT_S
from naslora_trainer.prompts import deepest_point

from .conftest import FIRST, Window, large_objects, messages, press_in_dialog


def accept(window: Window, number: int) -> None:
    window.click(deepest_point(large_objects()[number]))
    window.press(Qt.Key.Key_A)


def put_up_lock(project: Path) -> Path:
    path = project / "project.lock"
    owner = {"user": "anna", "host": "lab-pc3", "pid": 77, "started": 1e9, "since": time.time() - 3600}
    path.write_text(json.dumps(owner))
    return path


def test_what_is_not_on_disk_is_told_until_it_is(window: Window) -> None:
    project = window.dock.project
    assert project is not None and window.dock.status.trouble.isHidden()
    away = project.path.with_name("away")
    project.path.rename(away)
    accept(window, 0)
    accept(window, 1)
    trouble = window.dock.status.trouble
    assert trouble.text().startswith("2 changes are not on disk yet") and trouble.isVisible()
    shown = np.asarray(window.dock.canvas.layers["Objects"].data).copy()
    away.rename(project.path)
    window.until(trouble.isHidden)
    assert np.array_equal(window.on_disk(), shown) and len(np.unique(shown)) == 3


def test_leaving_asks_while_something_is_not_on_disk(
    window: Window, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, session = window.dock.project, window.dock.session
    assert project is not None and session is not None
    away = project.path.with_name("away")
    project.path.rename(away)
    accept(window, 0)
    main = window.dock.window()
    said = press_in_dialog("Cancel")
    assert not main.close() and main.isVisible() and "1 change is not on disk yet" in said[0]
    press_in_dialog("Cancel")
    window.dock.open_project(window.folder)
    assert window.dock.session is session and not window.dock.busy
    copies = tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(copies))
    press_in_dialog("Save a copy")
    assert window.dock.keeping.may_leave() and (copies / f"{FIRST}.h5").stat().st_size > 1000
    away.rename(project.path)
    assert window.dock.keeping.may_leave() and window.on_disk().any()


def test_a_second_window_only_reads(window: Window) -> None:
    accept(window, 0)
    folder, before = window.dock.project.path, window.on_disk()
    window.dock.project.close()
    put_up_lock(folder)
    window.open(window.folder)
    assert window.dock.project.read_only
    assert "Read-only: opened by anna on lab-pc3 since" in window.dock.status.trouble.text()
    accept(window, 1)
    assert any("can only be read here: it was opened by anna" in message for message in messages())
    assert window.dock.session.preview is not None
    layer = window.dock.canvas.layers["Objects"]
    assert isinstance(layer, Labels)
    layer.data_setitem((np.array([1, 1]), np.array([1, 2])), np.array([9, 9]))
    window.dock.canvas.flush(everywhere=True)
    assert np.array_equal(layer.data, before) and np.array_equal(window.on_disk(), before)


def test_a_silent_program_can_be_taken_over_from(window: Window) -> None:

    folder = window.dock.project.path
    window.dock.project.close()
    path = put_up_lock(folder)
    os.utime(path, (time.time() - SILENT_S - 600,) * 2)
    said = press_in_dialog("Yes")
    window.open(window.folder)
    assert "anna on lab-pc3" in said[0] and not window.dock.project.read_only
    accept(window, 0)
    assert window.on_disk().any()


def test_damage_is_told(window: Window) -> None:
    accept(window, 0)
    accept(window, 1)
    path = window.dock.project.path / "annotations" / f"{FIRST}.h5"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    window.open(window.folder)
    assert any(f"{FIRST}.h5 is damaged" in message and "was taken from" in message for message in messages())
    assert len(window.dock.session.objects) == 1


def test_what_is_not_on_disk_when_the_dock_is_taken_away_is_rescued(
    window: Window, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("naslora_napari._qt.keeping.user_data_path", lambda _: tmp_path / "own")
    project = window.dock.project
    assert project is not None
    away = project.path.with_name("away")
    project.path.rename(away)
    accept(window, 0)
    shown = window.dock.session.labels.copy()
    window.dock.close_down()
    (saved,) = (tmp_path / "own" / "rescued").glob(f"{project.name}-*/{FIRST}.h5")
    assert np.array_equal(read_annotation(saved, FIRST, shown.shape).labels, shown)
    assert any(str(saved) in message for message in messages())
