"""What the next object gets: its class, and what happens where it meets others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from ..live.session import Overlap
from .notify import attempt

if TYPE_CHECKING:
    from .dock import NasLoraDock


class NextObject(QObject):
    """Hands on what is chosen in the panel, and shows the classes of the project.

    Parameters
    ----------
    dock : NasLoraDock
        Whose panel, session and project.
    """

    def __init__(self, dock: NasLoraDock) -> None:
        super().__init__(dock)
        self._dock, self._panel = dock, dock.prompt_panel
        self._panel.class_chosen.connect(self._choose_class)
        self._panel.class_added.connect(self._add_class)
        self._panel.overlap_chosen.connect(self._choose_overlap)

    def show(self) -> None:
        """Show the classes, with that of the next object; a new session hears what happens where objects meet."""
        project, session = self._dock.project, self._dock.session
        if project is not None and session is not None:
            session.overlap = self._panel.overlap_box.currentData()
            self._panel.show_classes(project.classes, session.class_id)

    def _choose_class(self, class_id: int) -> None:
        if self._dock.session is not None:
            self._dock.session.class_id = class_id

    def _choose_overlap(self, overlap: Overlap) -> None:
        self._dock.canvas.set_keep_others(overlap == "background")
        if self._dock.session is not None:
            self._dock.session.overlap = overlap

    def _add_class(self, name: str) -> None:
        project, session = self._dock.project, self._dock.session
        if project is None or session is None:
            return
        info = attempt(lambda: project.add_class(name))
        if info is not None:
            session.class_id = info.id
            self.show()
