"""What a key does to the accepted object under the mouse."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..live import AnnotationSession
from .notify import report, tell

if TYPE_CHECKING:
    from .dock import NasLoraDock


class ObjectActions:
    """Reopens, deletes and re-classifies accepted objects.

    Parameters
    ----------
    dock : NasLoraDock
        Has the session, and the canvas that knows what is under the mouse.
    """

    def __init__(self, dock: NasLoraDock) -> None:
        self._dock = dock

    def reopen(self) -> None:
        """Make the object a proposal again."""
        self._act(AnnotationSession.reopen)

    def delete(self) -> None:
        """Remove the object."""
        self._act(AnnotationSession.delete)

    def give_class(self) -> None:
        """Give the object the class that is chosen."""
        self._act(lambda session, key: session.set_class(key, session.class_id))

    def _act(self, action: Callable[[AnnotationSession, int], Any]) -> None:
        session, canvas = self._dock.session, self._dock.canvas
        if session is None:
            return
        canvas.flush()  # a stroke that waits is an object, too
        key = canvas.object_under_pointer()
        if key not in session.objects:
            tell("There is no accepted object under the mouse. Move it over one and press the key again.")
            return
        try:
            action(session, key)
        except Exception as error:
            report(error)
        self._dock.show_class()
