"""Small pictures for the rows of the list of images that are on the screen."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QObject

from ..store import Project
from ..store.records import ImageEntry
from ..store.thumbnails import Thumbnails
from .image_list import ROWS
from .image_model import ImageModel
from .picture_queue import PictureQueue

#: Rows that were scrolled past are not made any more: the newest so many are.
MOST_WANTED = 3 * ROWS


class Pictures(QObject):
    """Makes the pictures that a model asks for.

    Parameters
    ----------
    model : ImageModel
        Asks, and shows them.
    """

    def __init__(self, model: ImageModel) -> None:
        super().__init__(model)
        self._queue = PictureQueue(self, "naslora-pictures", MOST_WANTED, model.set_picture)
        self._project: Project | None = None
        self._files: Thumbnails | None = None
        model.picture_wanted.connect(self._want)

    def use(self, project: Project) -> None:
        """Make pictures of the images of a project, and keep them in its cache."""
        self._project, self._files = project, Thumbnails(project.path / "cache" / "thumbnails")
        self._queue.clear()
        self._queue.tasks.run(self._files.prune, idle=True)

    def close(self) -> None:
        """Make no more."""
        self._queue.close()

    def _want(self, entry: ImageEntry) -> None:
        project, files = self._project, self._files
        if project is None or files is None:
            return

        def make() -> np.ndarray:
            kept = files.get(entry)
            return files.make(entry, project.picture(entry.name)) if kept is None else kept

        self._queue.want(entry.name, make)
