"""A project that is dropped on napari's window, or opened with File > Open Folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..store import Project
from ..store.manifest import FILE
from .opening import SUFFIX

if TYPE_CHECKING:
    from napari import Viewer

    from .dock import NasLoraDock

#: What napari takes for "read, but there is nothing to add".
NO_LAYERS: list[Any] = [(None,)]
#: What File > Open Sample opens with this reader; no file has this name.
SAMPLE = "naslora://sample/nuclei.naslora"
PLUGIN, WIDGET = "naslora-napari", "NAS-LoRA"


def project_reader(path: str | list[str]) -> Callable[[str], list[Any]] | None:
    """Return what opens a project; None for what is none."""
    if path == SAMPLE:
        return read_sample
    if not isinstance(path, str) or Path(path).suffix != SUFFIX or not (Path(path) / FILE).is_file():
        return None
    return read_project


def read_project(path: str) -> list[Any]:
    """Open a project in the dock of the viewer; where there is no viewer, return its first image and labels as layers.

    Raises
    ------
    UserError
        It is damaged, or its first image is missing.
    """
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is None:
        return _layers(Path(path))
    dock_of(viewer).open_project(Path(path))
    return NO_LAYERS


def read_sample(path: str) -> list[Any]:
    """Let the person choose where the sample project is to be, and open it in the dock of the viewer.

    Where there is no viewer, return its first image and labels as layers.
    """
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is None:
        from .samples import nuclei

        return list(nuclei())
    dock_of(viewer).sample.ask()
    return NO_LAYERS


def docks_in(viewer: Viewer) -> list[NasLoraDock]:
    """Return the docks in a viewer's window."""
    from .dock import NasLoraDock

    return [widget for widget in viewer.window.dock_widgets.values() if isinstance(widget, NasLoraDock)]


def dock_of(viewer: Viewer) -> NasLoraDock:
    """Return the dock in a viewer's window, put there where it is missing."""
    for dock in docks_in(viewer):
        return dock
    return viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)[1]


def _layers(path: Path) -> list[Any]:
    from napari.layers import Labels

    from .image_layer import image_layer, place_of

    project = Project.open(path)
    if not project.images:
        return NO_LAYERS
    name = project.images[0].name
    image = image_layer(name, project.picture(name))
    labels = Labels(project.annotation(name).labels, name=f"{name} (labels)", **place_of(image))
    return [layer.as_layer_data_tuple() for layer in (image, labels)]
