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
        # Two timers: what a piece changed is drawn after the first, which may take long; the mouse, keys and other
        # timers that came meanwhile have their turn before the second.
        self._pause, self._turn = QTimer(self, singleShot=True), QTimer(self, singleShot=True)
        self._pause.timeout.connect(self._turn.start)
        self._turn.timeout.connect(self._next)
        self._running = False

    @property
    def running(self) -> bool:
        """Whether there are pieces left."""
        return self._running

    def run(self, pieces: Iterator[None], then: Callable[[], object], pause_ms: int = 0) -> None:
        """Run other pieces from now on, and call ``then`` after the last one.

        With a pause what a piece changed is drawn before the next one.
        """
        self.stop()
        self._pieces, self._then, self._running = pieces, then, True
        self._pause.setInterval(pause_ms)
        self._turn.start()

    def stop(self) -> None:
        """Leave the rest, and let go of what it holds."""
        self._pause.stop()
        self._turn.stop()
        self._pieces, self._then, self._running = iter(()), None, False

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
        else:
            if self._running:  # the piece may have stopped all of it
                self._pause.start()
