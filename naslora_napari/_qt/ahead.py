"""Embeddings that are there before the person: kept between sessions, made for the next image while the hand rests."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

from naslora_trainer.errors import UserError

from ..live.embeddings import DISK_BYTES, RAM_BYTES, EmbeddingCache
from .settings import setting

if TYPE_CHECKING:
    from ..store import Project
    from .dock import NasLoraDock

log = logging.getLogger("naslora_napari")

#: So long nobody asks the model for anything before it looks at the next image, in ms.
REST_MS = 3000
MIB = 2**20


def embedding_cache() -> EmbeddingCache:
    """Return a cache with the bounds of napari's settings (Preferences > NAS-LoRA), in RAM only at first."""
    memory = setting("memory", "ram_mb", RAM_BYTES // MIB)
    return EmbeddingCache(ram_bytes=memory * MIB, disk_bytes=setting("memory", "disk_mb", DISK_BYTES // MIB) * MIB)


class Ahead(QObject):
    """Lets the model encode the image after the one that is open, when it has nothing else to do.

    Parameters
    ----------
    dock : NasLoraDock
        Has the project, the predictor and its thread.
    """

    def __init__(self, dock: NasLoraDock) -> None:
        super().__init__(dock)
        self._dock = dock
        self._name = ""
        self._rest = QTimer(self, singleShot=True, interval=REST_MS)
        self._rest.timeout.connect(self._encode)
        dock.imageReady.connect(self._on_ready)
        dock.canvas.prompts_edited.connect(self._wait)

    def use(self, project: Project) -> None:
        """Keep embeddings in the project's cache from now on; where it cannot be written, in RAM only."""
        self._rest.stop()
        try:
            self._dock.predictor.cache.folder = project.cache_dir / "embeddings"
        except UserError as error:
            log.warning("Embeddings are not kept: %s", error)
            self._dock.predictor.cache.folder = None

    def close(self) -> None:
        """Encode nothing any more."""
        self._rest.stop()

    def _on_ready(self, name: str) -> None:
        self._name = name
        self._rest.start()

    def _wait(self) -> None:
        if self._rest.isActive():
            self._rest.start()

    def _encode(self) -> None:
        dock, project = self._dock, self._dock.project
        if project is None or dock.session is None or dock.session.name != self._name:
            return
        if dock.busy or dock.training.running or dock.batching.running:
            self._rest.start()
            return
        names = [entry.name for entry in project.images]
        place = names.index(self._name) + 1
        if place < len(names):
            dock.model_tasks.run(
                lambda: dock.predictor.prefetch(project.picture(names[place])),
                failed=lambda error: log.info("The next image was not prepared: %s", error),
                topic="ahead",
                idle=True,
                doing="preparing the next image",
            )
