"""Small pictures for the rows that are on the screen, made in a thread."""

from __future__ import annotations

import logging

import numpy as np
from qtpy.QtCore import QObject
from qtpy.QtGui import QImage, QPixmap

from ..store import Project
from ..store.records import ImageEntry
from ..store.thumbnails import Thumbnails
from .image_list import ROWS
from .image_model import ImageModel
from .tasks import Tasks

log = logging.getLogger("naslora_napari")

#: Rows that were scrolled past are not made any more: the newest so many are.
MOST_WANTED = 3 * ROWS


class Pictures(QObject):
    """Makes the pictures that a model asks for, one after the other.

    Parameters
    ----------
    model : ImageModel
        Asks, and shows them.
    """

    def __init__(self, model: ImageModel) -> None:
        super().__init__(model)
        self._model = model
        self._tasks = Tasks(self, "naslora-pictures")
        self._project: Project | None = None
        self._files: Thumbnails | None = None
        self._wanted: dict[str, ImageEntry] = {}
        #: Images without a picture: they cannot be read.
        self._failed: set[str] = set()
        self._making = ""
        model.picture_wanted.connect(self._want)

    def use(self, project: Project) -> None:
        """Make pictures of the images of a project, and keep them in its cache."""
        self._project, self._files = project, Thumbnails(project.path / "cache" / "thumbnails")
        self._wanted.clear()
        self._failed.clear()
        self._tasks.run(self._files.prune, idle=True)

    def close(self) -> None:
        """Make no more."""
        self._wanted.clear()
        self._tasks.close()

    def _want(self, entry: ImageEntry) -> None:
        if entry.name in self._failed or entry.name == self._making:
            return
        self._wanted.pop(entry.name, None)
        self._wanted[entry.name] = entry
        while len(self._wanted) > MOST_WANTED:
            del self._wanted[next(iter(self._wanted))]
        self._next()

    def _next(self) -> None:
        project, files = self._project, self._files
        if self._making or not self._wanted or project is None or files is None:
            return
        self._making = next(iter(self._wanted))
        entry = self._wanted.pop(self._making)

        def make() -> np.ndarray:
            kept = files.get(entry)
            return files.make(entry, project.picture(entry.name)) if kept is None else kept

        self._tasks.run(
            make,
            lambda pixels: self._made(project, entry.name, pixels),
            lambda error: self._not_made(project, entry.name, error),
        )

    def _made(self, project: Project, name: str, pixels: np.ndarray) -> None:
        self._making = ""
        if project is self._project:
            height, width = pixels.shape[:2]
            image = QImage(np.ascontiguousarray(pixels).data, width, height, 3 * width, QImage.Format.Format_RGB888)
            self._model.set_picture(name, QPixmap.fromImage(image))
        self._next()

    def _not_made(self, project: Project, name: str, error: BaseException) -> None:
        log.info("%s has no picture in the list: %s", name, error)
        self._making = ""
        if project is self._project:
            self._failed.add(name)
        self._next()
