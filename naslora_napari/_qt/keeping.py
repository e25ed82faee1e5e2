"""What is not on disk yet, and who else has the project: told, tried again, and asked about before it is left."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_data_path
from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QFileDialog, QMessageBox

from naslora_trainer.errors import NotSavedError, UserError
from naslora_trainer.files import not_saved

from ..live import AnnotationSession
from ..live.saving import save_copies
from ..store import Project
from ..store.locking import SILENT_S
from .notify import report, tell, warn

if TYPE_CHECKING:
    from .dock import NasLoraDock


class Keeping(QObject):
    """Watches over what the session could not save.

    Parameters
    ----------
    dock : NasLoraDock
        Has the project and the session.
    """

    def __init__(self, dock: NasLoraDock) -> None:
        super().__init__(dock)
        self._dock = dock
        self._again = QTimer(self, singleShot=True)
        self._again.timeout.connect(self._retry)
        #: The session whose changes the person gave up, or saved elsewhere.
        self._left: AnnotationSession | None = None

    @property
    def text(self) -> str:
        """What the person has to know all the time; empty when all is well."""
        project, session = self._dock.project, self._dock.session
        waiting = session.saving.text if session is not None else ""
        if project is not None and project.read_only:
            return f"Read-only: opened by {project.owner}. {waiting}".strip()
        return waiting

    def use(self, project: Project, before: Project | None, session: AnnotationSession) -> None:
        """Be the writer of a project that was opened, if nobody else is, and watch what its session saves."""
        if before is not None:
            before.close()
        try:
            project.claim(force=project.read_only and project.silent_s > SILENT_S and self._may_take_over(project))
        except NotSavedError as error:
            warn(str(error))
        if project.read_only:
            warn(f"{project.name} was opened by {project.owner}, so it can only be looked at here.")
        session.saving.changed.connect(self._on_changed)

    def tell_notices(self) -> None:
        """Tell what was found damaged or changed."""
        for notice in self._dock.project.take_notices() if self._dock.project is not None else ():
            warn(notice)

    def may_leave(self) -> bool:
        """Return whether the session may be left; the person is asked when something is not on disk."""
        self._dock.canvas.flush()
        session = self._dock.session
        while session is not None and not session.saving.retry():
            box = QMessageBox(self._dock)
            box.setIcon(QMessageBox.Icon.Warning)
            box.setWindowTitle("Not saved yet")
            box.setText(session.saving.text)
            again = box.addButton("Try again", QMessageBox.ButtonRole.ActionRole)
            copy = box.addButton("Save a copy…", QMessageBox.ButtonRole.ActionRole)
            leave = box.addButton("Lose the changes", QMessageBox.ButtonRole.DestructiveRole)
            stay = box.addButton(QMessageBox.StandardButton.Cancel)
            box.setDefaultButton(again)
            box.setEscapeButton(stay)
            box.exec()
            chosen = box.clickedButton()
            if chosen is leave or (chosen is copy and self._save_copy(session)):
                self._left = session
                return True
            if chosen is stay:
                return False
        return True

    def close(self) -> None:
        """Try a last time, keep what is not on disk in the person's own folder, and let others have the project."""
        self._again.stop()
        session = self._dock.session
        if session is not None and session is not self._left and not session.saving.retry():
            self._rescue(session)
        if self._dock.project is not None:
            self._dock.project.close()

    def _save_copy(self, session: AnnotationSession) -> bool:
        """Save what waits in a folder that the person chooses, and return whether that was done."""
        folder = QFileDialog.getExistingDirectory(self._dock, "Where to save the labels that are not on disk yet")
        if not folder:
            return False
        return self._save_to(Path(folder), session)

    def _rescue(self, session: AnnotationSession) -> None:
        """Save what waits where nobody chose a place: napari takes a dock away without asking it."""
        name = self._dock.project.name if self._dock.project is not None else "project"
        folder = user_data_path("naslora-napari") / "rescued" / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
        warn(session.saving.text)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            return report(not_saved(folder, error))
        self._save_to(folder, session)

    def _save_to(self, folder: Path, session: AnnotationSession) -> bool:
        """Save what waits in a folder, and return whether that was done."""
        try:
            waiting = ((name, session.waiting(name)) for name in session.saving.images)
            saved = save_copies(folder, {name: found for name, found in waiting if found is not None})
        except UserError as error:
            report(error)
            return False
        tell(f"Saved: {', '.join(map(str, saved))}. Copy them into the folder annotations of the project later.")
        return True

    def _may_take_over(self, project: Project) -> bool:
        """Ask whether to take a project from a program that has not been heard of for long."""
        answer = QMessageBox.question(
            self._dock,
            "Opened elsewhere",
            f"{project.name} was opened by {project.owner}, and that program was not heard of for "
            f"{project.silent_s / 60:.0f} minutes. If it has ended, you can take the project over; if it has not, "
            "it cannot save any more then.\n\nTake it over?",
        )
        return answer == QMessageBox.StandardButton.Yes

    def _on_changed(self) -> None:
        session = self._dock.session
        if session is not None and session.saving.count:
            self._again.start(round(1000 * session.saving.delay_s))
        else:
            self._again.stop()
        self._dock.show_state()

    def _retry(self) -> None:
        session = self._dock.session
        if session is not None and session.saving.count and session.saving.retry():
            tell("Everything is on disk again.")
            self._dock.show_counts()
