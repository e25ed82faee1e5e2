"""Work in a thread, its result in the GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Signal

from ..live import LatestWorker
from .notify import report


class Tasks(QObject):
    """A :class:`LatestWorker` whose callbacks run in the GUI thread. Errors without a handler are shown.

    Parameters
    ----------
    parent : QObject
        Owner.
    name : str
        Of the thread.
    before : callable
        Called in the thread before each job.

    Attributes
    ----------
    doing : str
        What the running job is, for the person; empty when there is nothing to tell.
    """

    changed = Signal()
    _started = Signal(str)
    _finished = Signal(object, object, object)

    def __init__(self, parent: QObject, name: str, before: Callable[[], None] = lambda: None) -> None:
        super().__init__(parent)
        self._worker = LatestWorker(name)
        self._before = before
        self._pending = 0
        self._closed = False
        self.doing = ""
        self._started.connect(self._begin)
        self._finished.connect(self._deliver)

    @property
    def busy(self) -> bool:
        """True until the result of every job was delivered."""
        return self._pending > 0 or self._worker.busy

    def run(
        self,
        work: Callable[[], Any],
        then: Callable[[Any], None] = lambda result: None,
        failed: Callable[[BaseException], None] = report,
        topic: str = "",
        idle: bool = False,
        doing: str = "",
    ) -> None:
        """Run ``work`` in the thread, and then ``then`` or ``failed`` in the GUI thread.

        ``topic`` and ``idle`` are those of :meth:`LatestWorker.submit`; ``doing`` says what it is, for the person.
        """
        if self._closed:
            return

        def told() -> Any:
            self._pending += 1
            if not self._closed:
                self._started.emit(doing)
            self._before()
            return work()

        self._worker.submit(told, lambda result, error: self._hand_over(then, failed, result, error), topic, idle)
        self.changed.emit()

    def close(self) -> None:
        """Drop what waits; nothing is delivered any more."""
        self._closed = True
        self._worker.close()

    def _hand_over(self, then: Callable, failed: Callable, result: Any, error: BaseException | None) -> None:
        if self._closed:
            self._pending -= 1
        else:
            self._finished.emit(then if error is None else failed, result if error is None else error, None)

    def _begin(self, doing: str) -> None:
        if doing != self.doing and not self._closed:
            self.doing = doing
            self.changed.emit()

    def _deliver(self, callback: Callable[[Any], None], value: Any, _: None) -> None:
        self._pending -= 1
        if self._closed:
            return
        try:
            callback(value)
        except Exception as error:
            report(error)
        if not self.busy:
            self.doing = ""
        self.changed.emit()
