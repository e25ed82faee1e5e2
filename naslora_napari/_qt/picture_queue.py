"""Small pictures of what is on the screen, made in a thread one after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from qtpy.QtCore import QObject
from qtpy.QtGui import QImage, QPixmap

from .tasks import Tasks

log = logging.getLogger("naslora_napari")

Make = Callable[[], np.ndarray]


class PictureQueue(QObject):
    """Makes pictures in the order in which they are wanted; what was scrolled past is not made any more.

    Parameters
    ----------
    parent : QObject
        Owner.
    name : str
        Of the thread.
    most : int
        The newest so many are made.
    made : callable
        Gets the key of a picture and the picture, in the GUI thread.
    """

    def __init__(self, parent: QObject, name: str, most: int, made: Callable[[str, QPixmap], None]) -> None:
        super().__init__(parent)
        self.tasks = Tasks(self, name)
        self._most, self._tell = most, made
        self._wanted: dict[str, Make] = {}
        #: What cannot be made.
        self._failed: set[str] = set()
        self._making = ""
        #: Changes with :meth:`clear`: what was begun before is not shown.
        self._round = 0

    def clear(self) -> None:
        """Forget what is wanted, and what could not be made."""
        self._wanted.clear()
        self._failed.clear()
        self._making = ""
        self._round += 1

    def close(self) -> None:
        """Make no more."""
        self._wanted.clear()
        self.tasks.close()

    def want(self, key: str, make: Make) -> None:
        """Ask for a picture, unless it is being made or cannot be.

        Parameters
        ----------
        key : str
            Not empty.
        make : callable
            Returns it, ``(h, w, 3)`` uint8, in the thread.
        """
        if key in self._failed or key == self._making:
            return
        self._wanted.pop(key, None)
        self._wanted[key] = make
        while len(self._wanted) > self._most:
            del self._wanted[next(iter(self._wanted))]
        self._next()

    def _next(self) -> None:
        if self._making or not self._wanted:
            return
        key, this = next(iter(self._wanted)), self._round
        self._making = key
        self.tasks.run(
            self._wanted.pop(key),
            lambda pixels: self._made(this, key, pixels),
            lambda error: self._not_made(this, key, error),
        )

    def _made(self, this: int, key: str, pixels: np.ndarray) -> None:
        if this != self._round:
            return
        self._making = ""
        height, width = pixels.shape[:2]
        image = QImage(np.ascontiguousarray(pixels).data, width, height, 3 * width, QImage.Format.Format_RGB888)
        self._tell(key, QPixmap.fromImage(image))
        self._next()

    def _not_made(self, this: int, key: str, error: BaseException) -> None:
        log.info("There is no small picture of %s: %s", key, error)
        if this == self._round:
            self._making = ""
            self._failed.add(key)
            self._next()
