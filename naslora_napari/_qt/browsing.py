"""The images of the project: how far they are, their notes and areas, and where those are that were moved."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QInputDialog

from naslora_trainer.data import Roi
from naslora_trainer.errors import UserError

from ..store import Project
from ..store.automatic import acceptance
from ..store.listing import next_unfinished
from ..store.records import ImageStatus
from ..store.relinking import Relinked
from .notify import attempt, report, tell
from .pictures import Pictures
from .tasks import Tasks

if TYPE_CHECKING:
    from .dock import NasLoraDock

log = logging.getLogger("naslora_napari")

#: A dock of this height has room for the list of images, in pixels.
ROOMY = 950


class Browsing(QObject):
    """Keeps the list of images up to date, and does what is asked there.

    Parameters
    ----------
    dock : NasLoraDock
        Has the project and opens images.
    """

    #: Something new is known of images: the project, and their names.
    _told = Signal(object, object)
    #: Another image is open, or something of the open one is new.
    changed = Signal()

    def __init__(self, dock: NasLoraDock) -> None:
        super().__init__(dock)
        self._dock, self._panel = dock, dock.open_panel
        self._tasks = Tasks(self, "naslora-list")
        self._pictures = Pictures(self._panel.list.model)
        self._told.connect(self._on_told)
        self._panel.list.marked.connect(self.mark)
        self._panel.list.note_asked.connect(self.ask_note)
        self._panel.unfinished_asked.connect(self.next_unfinished)
        self._panel.relink_asked.connect(self.relink)
        dock.canvas.areas_edited.connect(self._on_areas)

    def use(self, project: Project) -> None:
        """List the images of a project at once, and look in a thread how far they are and which are missing."""
        self._pictures.use(project)
        self._panel.use(project, roomy=self._dock.height() >= ROOMY)
        self._tasks.run(
            lambda: project.refresh(lambda names: self._told.emit(project, list(names))),
            lambda errors: self._on_counted(project, errors),
        )
        self._look_for_missing(project)

    def close(self) -> None:
        """Look for nothing any more."""
        self._pictures.close()
        self._tasks.close()

    def show_image(self, name: str) -> None:
        """Show which image is open."""
        if self._dock.project is not None:
            self._panel.show_current(name, self._dock.project.status(name))
            self.changed.emit()

    def show_counts(self) -> None:
        """Show how far the open image and the project are, as far as that is known."""
        project, session = self._dock.project, self._dock.session
        if project is None:
            return
        self._panel.show_summary(project.known_summary())
        if session is not None and session.name:
            self._panel.list.refresh([session.name])
            self._panel.show_status(project.status(session.name))
        self._dock.training.show_readiness()
        self.changed.emit()

    def mark(self, name: str, mark: str) -> None:
        """Turn a mark of an image on or off: ``complete`` or ``skipped``."""
        if mark == "complete":
            self._change(name, lambda project, old: self._complete(project, name, old))
        else:
            self._change(name, lambda project, old: project.mark(name, skipped=not old.marks.skipped))

    def ask_note(self, name: str) -> None:
        """Let the person write the note of an image."""
        if self._dock.project is not None:
            old = self._dock.project.status(name).marks.note
            note, given = QInputDialog.getMultiLineText(self._panel, "Note", f"Note on {name}:", old)
            if given:
                self._change(name, lambda project, _: project.mark(name, note=note))

    def next_unfinished(self) -> None:
        """Open the next image that is neither complete nor skipped."""
        project = self._dock.project
        if project is None:
            return
        name = next_unfinished(self._panel.list.model.names, project.status, self._panel.list.current)
        if name:
            self._dock.show_image(name)
        else:
            tell("Every other image of the list is complete or skipped.")

    def relink(self, folder: Path) -> None:
        """Look for images that are missing in a folder."""
        project = self._dock.project
        if project is not None:
            self._dock.file_tasks.run(
                lambda: project.relink(folder),
                lambda found: self._on_relinked(project, found),
                doing=f"looking for images in {folder.name}",
            )

    def _change(self, name: str, change: Callable[[Project, ImageStatus], None]) -> None:
        """Change what is said about an image, and show it."""
        project = self._dock.project
        if project is None:
            return
        self._dock.canvas.flush()
        attempt(lambda: change(project, project.status(name)))
        self._panel.list.refresh([name])
        self.show_counts()
        self._dock.show_state()

    def _complete(self, project: Project, name: str, old: ImageStatus) -> None:
        """Call an image complete, which accepts the automatic objects on it, or take that back."""
        session = self._dock.session
        if old.waiting and not old.marks.complete:
            if session is not None and session.name == name:
                session.accept_automatic()
            else:
                project.save(name, acceptance(project.annotation(name)))
        project.mark(name, complete=not old.marks.complete)

    def _on_areas(self, rois: tuple[Roi, ...]) -> None:
        session, project = self._dock.session, self._dock.project
        if session is None or project is None or not session.name:
            return
        self._change(session.name, lambda project, _: project.mark(session.name, rois=rois))
        kept = project.status(session.name).marks.rois
        if kept != rois:
            self._dock.canvas.areas.show(kept, session.labels.shape)  # type: ignore[arg-type]

    def _on_told(self, project: Project, names: Sequence[str]) -> None:
        if project is self._dock.project:
            self._panel.list.refresh(list(names))
            self.show_counts()

    def _on_counted(self, project: Project, errors: dict[str, UserError]) -> None:
        if project is not self._dock.project:
            return
        for error in list(errors.values())[:1]:
            report(error)
        self.show_counts()
        self._dock.keeping.tell_notices()

    def _look_for_missing(self, project: Project) -> None:
        """Look which images are not at their place, then note what is in those that are there."""

        def look() -> list[str]:
            missing = project.missing()
            if not project.read_only:
                project.learn_contents()
            return missing

        def found(missing: list[str]) -> None:
            if project is self._dock.project:
                self._panel.show_missing(missing)

        self._tasks.run(look, found, lambda error: log.warning("Images were not looked for: %s", error))

    def _on_relinked(self, project: Project, found: Relinked) -> None:
        if project is not self._dock.project:
            return
        tell(found.text)
        self._panel.list.use(project)
        self._pictures.use(project)
        self._panel.show_missing(found.missing)
        session = self._dock.session
        name = session.name if session is not None and session.name else next(iter(found.found), "")
        if name:
            self._dock.show_image(name)
