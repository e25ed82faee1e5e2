"""Work of the window's own thread in pieces, so that it answers in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from qtpy.QtCore import QObject, QTimer


class InTurns(QObject):
    """Runs an iterator to its end, one piece in each turn of the event loop.

    Parameters
    ----------
    parent : QObject
        Owner.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._pieces: Iterator[None] = iter(())
        self._then: Callable[[], object] | None = None
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._next)

    @property
    def running(self) -> bool:
        """Whether there are pieces left."""
        return self._timer.isActive()

    def run(self, pieces: Iterator[None], then: Callable[[], object], pause_ms: int = 0) -> None:
        """Run other pieces from now on, and call ``then`` after the last one.

        With a pause what a piece changed is drawn before the next one.
        """
        self._pieces, self._then = pieces, then
        self._timer.start(pause_ms)

    def stop(self) -> None:
        """Leave the rest, and let go of what it holds."""
        self._timer.stop()
        self._pieces, self._then = iter(()), None

    def _next(self) -> None:
        try:
            next(self._pieces)
        except StopIteration:
            then = self._then
            self.stop()
            if then is not None:
                then()
        except BaseException:
            self.stop()
            raise
