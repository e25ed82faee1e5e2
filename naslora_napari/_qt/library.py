"""From the dialog of models to the library of the project and the model that answers; files are read in threads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from naslora_resources.registry import models as known
from naslora_trainer.adapter_meta import read_header

from .bases import Bases
from .library_dialog import BASE, LibraryDialog
from .notify import report, tell
from .training import Training

if TYPE_CHECKING:
    from ..store.adapter_entries import AdapterEntry
    from ..store.adapters import AdapterLibrary


class Library(QObject):
    """Shows the models of the project that is open.

    Parameters
    ----------
    training : Training
        Has the project, knows which adapter is in use, and changes it.

    Attributes
    ----------
    name_in_use : str
        What the person calls the adapter that answers; empty: the base model answers, or it is not known yet.
    """

    #: :attr:`name_in_use` is another one.
    named = Signal()

    def __init__(self, training: Training) -> None:
        super().__init__(training)
        self.name_in_use = ""
        self._training = training
        self.dialog = dialog = LibraryDialog(training.panel)
        self.bases = Bases(training, dialog)
        dialog.base_asked.connect(self.bases.show)
        training.panel.models_asked.connect(self.show)
        training.swapped.connect(self.refresh)
        training.swapped.connect(self._look_up_name)
        training.finished.connect(lambda _: self.refresh())
        training.project_set.connect(self.refresh)
        dialog.use_asked.connect(self._use)
        dialog.renamed.connect(lambda key, name: self._change(lambda library: library.rename(key, name)))
        dialog.noted.connect(lambda key, note: self._change(lambda library: library.note(key, note)))
        dialog.export_asked.connect(self._export)
        dialog.import_asked.connect(self.import_file)
        dialog.delete_asked.connect(self._delete)

    def show(self) -> None:
        """Open the dialog."""
        self.dialog.show()
        self.dialog.raise_()
        self.refresh()

    def close(self) -> None:
        """Close the dialog."""
        self.bases.close()
        self.dialog.close()

    def refresh(self) -> None:
        """Show the models as they are on disk now, if the dialog is open."""
        project, training = self._training.project, self._training
        if project is None or not self.dialog.isVisible():
            return

        def show(entries: list[AdapterEntry]) -> None:
            if project is training.project:
                path = training.adapter_path
                self.dialog.show_entries(training.predictor.base, entries, BASE if path is None else path.stem)

        training.file_tasks.run(project.library.entries, show, topic="models")

    def import_file(self, path: Path) -> None:
        """Take over an adapter of somebody else; the model's thread checks it, since that knows the base."""
        project, training = self._training.project, self._training
        if project is None:
            return
        models, base = training.predictor.models, training.predictor.base

        def work() -> AdapterEntry:
            meant = read_header(path).meta.base
            return project.library.import_from(path, models.base_fingerprint(meant if meant in known() else base))

        def done(entry: AdapterEntry) -> None:
            tell(f"{entry.name} is one of the models of {project.name} now; nothing uses it yet.")
            self.refresh()

        training.model_tasks.run(work, done, self._failed, doing="checking the adapter")

    def _use(self, key: str) -> None:
        if key == BASE:
            self._training.use(None)
            return
        self._with_library(lambda library: library[key].path, self._training.use)

    def _export(self, key: str, path: Path) -> None:
        self._with_library(lambda library: library.export_to(key, path), lambda to: tell(f"Saved: {to}"))

    def _delete(self, key: str) -> None:
        def done(gone: Path) -> None:
            self._training.forget(key)
            tell(f"Moved to {gone}; it can be imported again from there.")
            self.refresh()

        self._with_library(lambda library: library.delete(key), done)

    def _change(self, change: Callable[[AdapterLibrary], object]) -> None:
        def done(_: object) -> None:
            self.refresh()
            self._look_up_name()

        self._with_library(change, done)

    def _look_up_name(self) -> None:
        """Find out what the adapter in use is called."""
        path = self._training.adapter_path
        self.name_in_use = ""

        def found(entry: AdapterEntry) -> None:
            if path == self._training.adapter_path:
                self.name_in_use = entry.name
                self.named.emit()

        if path is not None:
            self._with_library(lambda library: library[path.stem], found)

    def _with_library(self, work: Callable[[AdapterLibrary], Any], then: Callable[[Any], None]) -> None:
        """Do something with the files of the library in the thread for files."""
        project = self._training.project
        if project is not None:
            self._training.file_tasks.run(lambda: work(project.library), then, self._failed, doing="models")

    def _failed(self, error: BaseException) -> None:
        report(error)
        self.refresh()  # an edited cell shows what holds
