"""The sample project, from the dock and from napari's File > Open Sample."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_documents_path
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QFileDialog

from ..store.sample import free_place, make_sample

if TYPE_CHECKING:
    from .dock import NasLoraDock


class SampleProject(QObject):
    """Asks where the sample project is to be, makes it and opens it.

    Parameters
    ----------
    dock : NasLoraDock
        Opens it.
    """

    def __init__(self, dock: NasLoraDock) -> None:
        super().__init__(dock)
        self._dock = dock
        dock.open_panel.sample_asked.connect(self.ask)

    def ask(self) -> None:
        """Let the person choose its folder; the one that is suggested is new."""
        suggested = str(free_place(user_documents_path()))
        path, _ = QFileDialog.getSaveFileName(self._dock, "A new folder for the sample project", suggested)
        if path:
            self.make(Path(path))

    def make(self, folder: Path) -> None:
        """Make it in a folder and open it."""
        self._dock.file_tasks.run(
            lambda: make_sample(folder), self._dock.open_project, doing="copying the sample project"
        )
