"""Labels from and for other programs, and images that others have opened: the menu "Labels", the button "Layer…"."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QFileDialog, QMenu

from ..store.formats import FORMATS, Format, ImportReport, export_project, import_labels
from .notify import tell, warn
from .opening import SUFFIX
from .widgets import counted
from .writer import write_project

if TYPE_CHECKING:
    from ..store import Project
    from .dock import NasLoraDock

#: What of an import is told in the window; the rest is in the log.
MOST_TOLD = 3


class Exchange(QObject):
    """Imports, exports, and makes projects of layers, in the thread for files.

    Parameters
    ----------
    dock : NasLoraDock
        Has the project and the open panel.
    """

    def __init__(self, dock: NasLoraDock) -> None:
        super().__init__(dock)
        self._dock = dock
        self.menu = QMenu(dock)
        self.menu.addAction("Import labels from a file…", self._ask_file)
        self.menu.addAction("Import labels from a folder…", self._ask_folder)
        self.menu.addSeparator()
        for format in (found for found in FORMATS.values() if found.write is not None):
            self.menu.addAction(f"Export as {format.title}…", partial(self._ask_target, format))
        dock.open_panel.labels_button.setMenu(self.menu)
        dock.open_panel.layer_asked.connect(self.open_layer)

    def import_from(self, path: Path) -> None:
        """Import the labels in a file or folder into the images of the project that have none."""
        project = self._dock.project
        if project is not None:
            self._dock.canvas.flush()
            self._dock.file_tasks.run(
                lambda: import_labels(project, path),
                lambda report: self._imported(project, report),
                doing=f"importing {path.name}",
            )

    def export_to(self, format: Format, path: Path, overwrite: bool = False) -> None:
        """Write all labels of the project in a format."""
        project = self._dock.project
        if project is not None:
            self._dock.canvas.flush()
            self._dock.file_tasks.run(
                lambda: export_project(project, format.name, path, overwrite),
                lambda report: tell(f"The labels are in {report.out}."),
                doing=f"exporting to {path.name}",
            )

    def open_layer(self) -> None:
        """Make a project of the image layer that is selected, with selected labels of its size, and open it."""
        own = list(self._dock.canvas.layers.values())
        chosen = [layer for layer in self._dock.viewer.layers.selection if layer not in own]
        image = next((layer for layer in chosen if isinstance(layer, Image)), None)
        labels = next((layer for layer in chosen if isinstance(layer, Labels)), None)
        if image is None:
            return tell("Select an image in napari's layer list first, and its labels with Ctrl if it has some.")
        suggested = str(Path.home() / f"{image.name}{SUFFIX}")
        path, _ = QFileDialog.getSaveFileName(self._dock, "Make a project of this image", suggested)
        if path:
            self.make_project(Path(path), image, labels)

    def make_project(self, path: Path, image: Image, labels: Labels | None) -> None:
        """Make a project of layers and open it; the layers are hidden, since the project shows the same."""
        layers: list[Any] = [layer for layer in (image, labels) if layer is not None]
        saved = [layer.as_layer_data_tuple() for layer in layers]

        def made(written: list[str]) -> None:
            for layer in layers:
                layer.visible = False
            self._dock.open_project(Path(written[0]))

        self._dock.file_tasks.run(lambda: write_project(str(path), saved), made, doing=f"making {path.name}")

    def _ask_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self._dock, "Import labels from a file")
        if path:
            self.import_from(Path(path))

    def _ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self._dock, "Import labels from a folder")
        if path:
            self.import_from(Path(path))

    def _ask_target(self, format: Format) -> None:
        title = f"Export as {format.title}"
        if format.suffix:
            name, _ = QFileDialog.getSaveFileName(
                self._dock, title, f"labels{format.suffix}"
            )  # it asks before it replaces
        else:
            name = QFileDialog.getExistingDirectory(self._dock, f"{title}: an empty folder")
        if name:
            self.export_to(format, Path(name), overwrite=bool(format.suffix))  # the dialog asks before it replaces

    def _imported(self, project: Project, report: ImportReport) -> None:
        what = f"{counted(report.objects, 'object')} on {counted(len(report.images), 'image')}"
        notes = [f"{image.name}: {note}" for image in report.images for note in image.notes]
        notes += [f"{name}: {why}" for name, why in report.skipped]
        more = f" (and {len(notes) - MOST_TOLD} more)" if len(notes) > MOST_TOLD else ""
        told = " ".join(notes[:MOST_TOLD]) + more
        (warn if notes else tell)(f"Imported {what} ({FORMATS[report.format].title}). {told}".strip())
        self._dock.reload(project)
