"""From the dialog of base models to the registry, the download, and the model that answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from naslora_resources.registry import ModelEntry, models

from .base_dialog import BaseDialog
from .library_dialog import LibraryDialog
from .notify import report, tell
from .tasks import Tasks

if TYPE_CHECKING:
    from .training import Training


class Stopped(Exception):
    """The person does not want the download any more."""


class Bases(QObject):
    """Shows base models, fetches the one that is chosen in a thread of its own, and lets it answer.

    Parameters
    ----------
    training : Training
        Changes the model.
    library : LibraryDialog
        The dialog that it belongs to.
    """

    _received = Signal(str, float, float)

    def __init__(self, training: Training, library: LibraryDialog) -> None:
        super().__init__(training)
        self._training = training
        self._stop = False
        self.tasks = Tasks(self, "naslora-download")
        self.dialog = dialog = BaseDialog(library)
        training.swapped.connect(self.refresh)
        dialog.use_asked.connect(self.use)
        dialog.add_asked.connect(self.add)
        dialog.remove_asked.connect(self._remove)
        dialog.stopped.connect(self._on_stop)
        self._received.connect(lambda text, done, of: dialog.show_doing(text, int(done), int(of)))

    def show(self) -> None:
        """Open the dialog."""
        self.refresh()
        self.dialog.show()
        self.dialog.raise_()

    def close(self) -> None:
        """End a download, and close the dialog."""
        self._stop = True
        self.tasks.close()
        self.dialog.close()

    def refresh(self) -> None:
        """Show the base models as they are now."""
        from naslora_trainer.base import is_here  # needs torch, which is there by now

        found = models()
        here = {model_id: is_here(entry) for model_id, entry in found.items()}
        self.dialog.show_models(found, here, self._training.predictor.base)

    def use(self, model_id: str) -> None:
        """Let a base model answer, without an adapter; it is downloaded first where that is needed."""
        from naslora_trainer.base import download, is_here

        entry = models()[model_id]
        if is_here(entry):
            self._training.use(None, model_id)
            return
        self._stop = False

        def told(done: int, of: int) -> None:
            if self._stop:
                raise Stopped
            self._received.emit(f"Downloading {entry.id}", done, of)

        def done(_: Path) -> None:
            self.dialog.show_doing("")
            self._training.use(None, model_id)

        self.dialog.show_doing(f"Downloading {entry.id}")
        self.tasks.run(lambda: download(entry, told=told), done, self._failed)

    def add(self, path: Path, name: str, prompts: tuple[str, ...], pixels: str) -> None:
        """Make a checkpoint one of the base models."""
        from naslora_trainer.added_models import add_model

        def done(entry: ModelEntry) -> None:
            self.dialog.show_doing("")
            tell(f"{entry.id} is one of the base models now; nothing uses it yet.")
            self.refresh()

        self.dialog.show_doing(f"Reading {path.name}")
        self.tasks.run(lambda: add_model(path, name, prompts, pixels), done, self._failed)  # type: ignore[arg-type]

    def _remove(self, model_id: str) -> None:
        from naslora_trainer.added_models import remove_model

        self.tasks.run(lambda: remove_model(model_id), lambda _: self.refresh(), self._failed)

    def _on_stop(self) -> None:
        self._stop = True

    def _failed(self, error: BaseException) -> None:
        self.dialog.show_doing("")
        if not isinstance(error, Stopped):
            report(error)
        self.refresh()
