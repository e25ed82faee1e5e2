"""napari opens a project that is dropped on it, and saves layers as one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
import tifffile
from napari.layers import Image, Labels
from npe2 import PluginManifest, read, write
from npe2._pytest_plugin import TestPluginManager
from pytestqt.qtbot import QtBot

from naslora_napari._qt import reader
from naslora_napari._qt.dock import NasLoraDock
from naslora_napari._qt.writer import write_project
from naslora_napari.store import Project
from naslora_resources.samples import sample_folder
from naslora_trainer.errors import UserError
from naslora_trainer.images import read_image, read_labels
from naslora_trainer.pixel_size import pixel_size

ROOT = Path(__file__).resolve().parents[2]
PIXELS = np.random.default_rng(0).integers(0, 60_000, (40, 50)).astype(np.uint16)
PLANE = np.kron(np.arange(20, dtype=np.int32).reshape(4, 5), np.ones((10, 10), np.int32))


@pytest.fixture
def plugins(npe2pm: TestPluginManager) -> Iterator[None]:
    """napari knows the manifest in this folder, not the installed copy."""
    with npe2pm.tmp_plugin(manifest=PluginManifest.from_file(ROOT / "napari.yaml")):
        yield


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = sample_folder("labelled")
    shutil.copy(folder / "images" / "00.png", tmp_path / "a.png")
    project = Project.create(tmp_path / "p.naslora", [tmp_path / "a.png"])
    project.import_labels("a", read_labels(folder / "masks" / "00.png"), False)
    return project


def test_without_a_viewer_a_project_is_an_image_and_its_labels(project: Project, plugins: None) -> None:
    assert napari.current_viewer() is None
    image, labels = read([str(project.path)], stack=False)
    assert image[2] == "image" and np.array_equal(image[0], read_image(project.images[0].path))
    assert labels[2] == "labels" and np.array_equal(labels[0], project.annotation("a").labels)


def test_what_is_no_project_is_left_to_others(tmp_path: Path) -> None:
    (tmp_path / "x.naslora").mkdir()
    for path in (tmp_path, tmp_path / "x.naslora", tmp_path / "missing.naslora"):
        assert reader.project_reader(str(path)) is None
    assert reader.project_reader([str(tmp_path)]) is None
    assert reader._layers(Project.create(tmp_path / "empty").path) == reader.NO_LAYERS


def test_a_dropped_project_opens_in_the_dock(
    plugins: None, make_napari_viewer: Callable[..., Any], project: Project, qtbot: QtBot
) -> None:
    viewer = make_napari_viewer()
    assert viewer.open(project.path, plugin="naslora-napari") == []
    dock = reader.dock_of(viewer)  # which was put there
    assert isinstance(dock, NasLoraDock) and reader.dock_of(viewer) is dock
    qtbot.waitUntil(lambda: dock.session is not None and dock.session.name == "a", timeout=60_000)
    assert dock.project is not None and dock.project.path == project.path
    assert np.array_equal(dock.session.labels, project.annotation("a").labels)
    dock.close_down()


def test_layers_are_saved_as_a_project(tmp_path: Path, plugins: None) -> None:
    image = Image(PIXELS, name="cells", scale=(0.5, 0.25), units=("um", "um"))
    layers = [layer.as_layer_data_tuple() for layer in (Labels(PLANE, name="mine"), image)]
    target = tmp_path / "deep" / "new.naslora"
    written = write(str(target), layers)
    assert written == [str(target), str(target.with_suffix(".tif"))]
    project = Project.open(target)
    (entry,) = project.images
    assert np.array_equal(read_image(entry.path), PIXELS) and entry.path == target.with_suffix(".tif")
    assert np.array_equal(project.annotation(entry.name).labels, PLANE)
    assert pixel_size(entry.path) == pytest.approx((0.5, 0.25), rel=1e-4)
    with pytest.raises(UserError, match="exists already"):
        write_project(str(target), layers)
    assert write_project(str(target.with_name("new")) + "2", layers)[1].endswith("new2.tif")
    target.with_name("other.tif").write_text("mine")
    assert write_project(str(target.with_name("other")), layers)[1].endswith("other-2.tif")
    assert target.with_name("other.tif").read_text() == "mine"


@pytest.mark.parametrize("shape", [(40, 50, 3), (5, 40, 50), (3, 40, 50), (2, 3, 40, 50), (4, 40, 50, 3)])
def test_colours_stacks_and_series(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    rgb = shape[-1] == 3
    labels = np.zeros(shape[:-1] if rgb else shape, np.int32)
    labels[..., 3:9, 4:20] = 5
    layers = [Image(pixels, rgb=rgb).as_layer_data_tuple(), Labels(labels).as_layer_data_tuple()]
    project = Project.open(write_project(str(tmp_path / "p.naslora"), layers)[0])
    assert len(project.images) == np.prod(labels.shape[:-2])
    assert np.array_equal(tifffile.imread(project.images[0].path), pixels)
    for entry in project.images:
        assert np.array_equal(project.annotation(entry.name).labels, labels[entry.plane])
        expected = pixels[entry.plane] if rgb else np.repeat(pixels[entry.plane][..., None], 3, axis=-1)
        assert np.array_equal(project.picture(entry.name).whole(), expected)


def test_layers_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    for image, labels in ((PIXELS, PLANE[:-1]), (PIXELS, PLANE[None]), (PIXELS.astype(complex), PLANE)):
        with pytest.raises(UserError):
            write_project(str(tmp_path / "p"), [(image, {"name": "a"}, "image"), (labels, {}, "labels")])
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_has_a_file_stays_there(make_napari_viewer: Callable[..., Any], project: Project) -> None:
    viewer = make_napari_viewer()
    path = project.images[0].path
    (image,) = viewer.open(path, plugin="napari")
    labels = viewer.add_labels(np.array(project.annotation("a").labels))
    layers = [layer.as_layer_data_tuple() for layer in (image, labels)]
    written = write_project(str(path.with_name("again.naslora")), layers)
    assert written == [str(path.with_name("again.naslora"))]
    assert Project.open(written[0]).images[0].path == path
    image.data = 255 - image.data  # the file does not hold these pixels
    layers[0] = image.as_layer_data_tuple()
    written = write_project(str(path.with_name("changed.naslora")), layers)
    assert np.array_equal(read_image(written[1]), image.data)
