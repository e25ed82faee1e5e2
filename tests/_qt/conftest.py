"""A real window with the dock open on two sample images."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari import Viewer
from napari.settings import _clear_plugin_settings_cache, get_plugin_settings
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QMessageBox

from naslora_napari._qt import driving
from naslora_napari._qt.dock import NasLoraDock
from naslora_napari._qt.planes import HOVERED, PROPOSED
from naslora_napari._qt.settings import keep, setting
from naslora_napari.live import LivePredictor
from naslora_napari.live.embeddings import Embedding, EmbeddingCache
from naslora_napari.store import Project
from naslora_resources.samples import sample_folder
from naslora_trainer.images import read_labels
from naslora_trainer.pictures import open_picture
from naslora_trainer.prompts import Prediction

FIRST, SECOND = "00", "02"
WAIT_MS = 60_000
HABITS: dict[str, Any] = {"preview": True, "overlap": "keep", "preset": "", "also": ""}


def truth(name: str) -> np.ndarray:
    """Return the label image of a sample tile."""
    return read_labels(sample_folder("labelled") / "masks" / f"{name}.png")


def large_objects(name: str = FIRST) -> list[np.ndarray]:
    """Return the masks ``(H, W)`` bool of a tile's objects, the largest first."""
    labels = truth(name)
    ids = sorted(np.unique(labels)[1:], key=lambda i: -int((labels == i).sum()))
    return [labels == i for i in ids]


def messages() -> list[str]:
    """Return what napari has told the person so far."""
    return [str(record.message) for record in notification_manager.records]


def press_in_dialog(text: str) -> list[str]:
    """Press a button of the next dialog, and return what that dialog will have said."""
    said: list[str] = []

    def press() -> None:
        box = QApplication.activeModalWidget()
        if not isinstance(box, QMessageBox):
            return QTimer.singleShot(50, press)
        said.append(box.text())
        next(button for button in box.buttons() if text in button.text().replace("&", "")).click()

    QTimer.singleShot(50, press)
    return said


@dataclass
class Window:
    """The viewer, the dock in it, and how to wait for them."""

    viewer: Viewer
    dock: NasLoraDock
    qtbot: QtBot
    folder: Path

    @property
    def image(self) -> Any:
        """The image layer."""
        return self.dock.canvas.layers["Image"]

    @property
    def preview(self) -> np.ndarray:
        """The proposed mask that is shown, ``(H, W)`` bool."""
        return np.asarray(self.dock.canvas.layers["Preview"].data) == PROPOSED

    @property
    def hovered(self) -> np.ndarray:
        """The faint mask under the mouse that is shown, ``(H, W)`` bool."""
        return np.asarray(self.dock.canvas.layers["Preview"].data) == HOVERED

    def until(self, condition: Callable[[], bool], timeout: int = WAIT_MS) -> None:
        """Wait while the window works."""
        self.qtbot.waitUntil(condition, timeout=timeout)

    def settle(self) -> None:
        """Wait until neither the model nor a file is being worked on, and every event was handled."""
        self.until(lambda: not self.dock.busy)
        self.qtbot.wait(30)
        self.until(lambda: not self.dock.busy)

    def open(self, path: Path) -> None:
        """Open a path and wait for the first image."""
        with self.qtbot.waitSignal(self.dock.imageReady, timeout=WAIT_MS):
            self.dock.open_project(path)
        self.settle()

    def click(self, point: Any, on: Any = None, **how: Any) -> None:
        """Click on a place of the image (or of a layer), ``(row, col)``, and wait for what comes of it."""
        driving.click(self.viewer, on or self.image, point, **how)
        self.qtbot.wait(30)
        self.settle()

    def press(self, key: Any, *modifiers: Any) -> None:
        """Press a key over the canvas."""
        driving.press(self.viewer, key, *modifiers)
        self.settle()

    def answer(self) -> Prediction:
        """Return the model's answer, which has to be there."""
        assert self.dock.session is not None and self.dock.session.preview is not None
        return self.dock.session.preview

    def on_disk(self, name: str = FIRST) -> np.ndarray:
        """Return the accepted objects as a fresh program reads them from the project's files."""
        assert self.dock.project is not None
        return Project.open(self.dock.project.path).annotation(name).labels


@pytest.fixture(scope="session", autouse=True)
def settings_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests leave the settings of whoever runs them alone."""
    _clear_plugin_settings_cache()
    get_plugin_settings(path_dir=tmp_path_factory.mktemp("settings"))


@pytest.fixture(autouse=True)
def no_habits(settings_elsewhere: None) -> Iterator[None]:
    """What a test chose in the dock is not chosen in the next one."""
    yield
    for name, default in HABITS.items():
        if setting("habits", name, default) != default:
            keep("habits", name, default)


@pytest.fixture
def closed_window(make_napari_viewer: Callable[..., Viewer], qtbot: QtBot, tmp_path: Path) -> Iterator[Window]:
    """A window with the dock, in which nothing is open yet."""
    folder = tmp_path / "nuclei"
    folder.mkdir()
    for name in (FIRST, SECOND):
        shutil.copy(sample_folder("labelled") / "images" / f"{name}.png", folder)
    notification_manager.records.clear()
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    dock = NasLoraDock(viewer)
    viewer.window.add_dock_widget(dock, name="NAS-LoRA", area="right")
    yield Window(viewer, dock, qtbot, folder)
    dock.close_down()


class Recording(EmbeddingCache):
    """A cache that tells what was put into it."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[Embedding] = []

    def put(self, embedding: Embedding) -> None:
        """Keep an embedding."""
        super().put(embedding)
        self.made.append(embedding)


@pytest.fixture(scope="session")
def first_image() -> Embedding:
    """What the model sees of the first image, which takes as long as all the rest of opening it."""
    cache = Recording()
    picture = open_picture(sample_folder("labelled") / "images" / f"{FIRST}.png")
    LivePredictor(cache=cache).set_image(picture)
    (made,) = cache.made
    return made


@pytest.fixture
def window(closed_window: Window, first_image: Embedding) -> Window:
    """A window in which the folder is open and the model has seen the first image."""
    closed_window.dock.predictor.cache.put(first_image)
    closed_window.open(closed_window.folder)
    return closed_window


@pytest.fixture
def labelled(window: Window, monkeypatch: pytest.MonkeyPatch) -> Window:
    """A window with a project of three labelled objects, which are quick to judge; a training here has one thread."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    project = window.dock.project
    assert project is not None
    labels = truth(FIRST)
    labels[labels > 3] = 0
    project.import_labels(FIRST, labels, False)
    window.open(project.path)
    return window
