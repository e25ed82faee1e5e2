"""What a key or a button does to the proposed mask, to the object under the mouse, and to the last step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..live import AnnotationSession
from ..live.visiting import centre, neighbour
from ..store.records import Review
from .notify import attempt, tell

#: In the order in which a key goes through them.
REVIEWS: tuple[Review, ...] = ("", "doubtful", "reviewed")

if TYPE_CHECKING:
    from .dock import NasLoraDock


class Editing:
    """Turns what the person asks into changes of the session; nothing happens while no image is open.

    Parameters
    ----------
    dock : NasLoraDock
        Has the session, the canvas that knows what is under the mouse, and opens images.
    """

    def __init__(self, dock: NasLoraDock) -> None:
        self._dock = dock
        #: Image and id of the object that another one is to be merged into.
        self._first = ("", 0)
        self._key = 0
        #: Says which object was chosen last; empty after anything else.
        self.chosen = ""

    @property
    def merging(self) -> int:
        """Id of the object that waits for another one to be merged into it; 0 if there is none."""
        session, (image, key) = self._dock.session, self._first
        return key if session is not None and session.name == image and key in session.objects else 0

    def accept(self) -> None:
        """Save the proposed mask, or the automatic object under the mouse; an outline is closed and answered."""
        if self._dock.canvas.prompts.drawing:
            self._dock.canvas.prompts.finish_drawing()
        else:
            self._do(self._accept)

    def _accept(self, session: AnnotationSession) -> None:
        """Accept the proposed mask; where there is none, the automatic object under the mouse."""
        info = session.objects.get(key := self._dock.canvas.object_under_pointer())
        if session.preview is None and info is not None and info.waiting:
            session.accept_automatic(key)
        else:
            session.accept()

    def discard(self) -> None:
        """Forget prompts and mask, and an outline that is being drawn; or end what is going on."""
        if self._dock.following.running:
            return self._dock.following.stop()
        self._dock.canvas.prompts.finish_drawing()
        merging, self._first = self.merging, ("", 0)
        self._do((lambda _: None) if merging else AnnotationSession.discard)

    def tidy(self) -> None:
        """Take specks, holes and ragged edges out of the mask."""
        self._do(AnnotationSession.tidy)

    def next_candidate(self) -> None:
        """Show another mask of the model's answer."""
        self._do(AnnotationSession.next_candidate)

    def undo(self) -> None:
        """Take back the last step; the image it was made on is opened for that."""
        self._do(lambda session: self._step(session, session.undo_image, session.undo))

    def redo(self) -> None:
        """Do again what was taken back last; the image it was made on is opened for that."""
        self._do(lambda session: self._step(session, session.redo_image, session.redo))

    def reopen(self) -> None:
        """Make the object under the mouse a proposal again."""
        self._do_to_object(AnnotationSession.reopen)

    def delete(self) -> None:
        """Remove the object under the mouse."""
        self._do_to_object(AnnotationSession.delete)

    def give_class(self) -> None:
        """Give the object under the mouse the class that is chosen."""
        self._do_to_object(lambda session, key: session.set_class(key, session.class_id))

    def review(self) -> None:
        """Call the object under the mouse doubtful; the next time reviewed, and then nothing of the kind."""
        self._do_to_object(self._review)

    def split(self) -> None:
        """Split the object under the mouse."""
        self._do_to_object(AnnotationSession.split)

    def merge(self) -> None:
        """Choose the object under the mouse; the one under it the next time becomes a part of it."""
        self._do_to_object(self._merge)

    def next_object(self) -> None:
        """Look at the object with the next number."""
        self._do(lambda session: self._look_at(session, neighbour(session.objects, self._key, 1)))

    def previous_object(self) -> None:
        """Look at the object with the number before."""
        self._do(lambda session: self._look_at(session, neighbour(session.objects, self._key, -1)))

    def _merge(self, session: AnnotationSession, key: int) -> None:
        first, self._first = self.merging, (session.name, key)
        if first:
            self._first = ("", 0)
            session.merge(first, key)

    def _review(self, session: AnnotationSession, key: int) -> None:
        following = REVIEWS[(REVIEWS.index(session.objects[key].review) + 1) % len(REVIEWS)]
        session.set_review(key, following)
        tell(f"Object {key} is {following or 'neither doubtful nor reviewed'}.")

    def _look_at(self, session: AnnotationSession, key: int) -> None:
        if not key or self._dock.project is None:
            return tell("There is no accepted object in this image yet.")
        self._key = key
        self._dock.canvas.look_at(centre(session.annotation, session.name, key), key)
        info = session.objects[key]
        names = {c.id: c.name for c in self._dock.project.classes}
        told = ", ".join(filter(None, (names[info.class_id], info.source, info.review, "to review" * info.waiting)))
        self.chosen = f"Object {key}, one of {len(session.objects)}: {told}."

    def _do(self, action: Callable[[AnnotationSession], Any]) -> None:
        session = self._dock.session
        if session is None:
            return
        self._dock.canvas.flush()  # a stroke that waits is a step before this one
        self.chosen = ""
        attempt(lambda: action(session))
        self._dock.show_state()

    def _step(self, session: AnnotationSession, image: str, step: Callable[[], Any]) -> None:
        if image == session.name:
            step()
        elif image:
            self._dock.show_image(image, step)

    def _do_to_object(self, action: Callable[[AnnotationSession, int], Any]) -> None:
        def on_it(session: AnnotationSession) -> None:
            key = self._dock.canvas.object_under_pointer()
            if key in session.objects:
                action(session, key)
                self._dock.next_object.show()
            else:
                tell("There is no accepted object under the mouse. Move it over one and press the key again.")

        self._do(on_it)
