"""Looks through a segmented folder: the gallery, and its images in the annotator with what was found on them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QFileDialog

from ..batch.ledger import LEDGER
from .driving import canvas_widget
from .notify import report, tell, warn
from .picture_queue import PictureQueue
from .tasks import Tasks
from .waiting_layer import WaitingLayer
from .widgets import Button, button, counted

if TYPE_CHECKING:
    import numpy as np

    from ..batch.review import Review
    from .dock import NasLoraDock
    from .gallery import Gallery

log = logging.getLogger("naslora_napari")

ACCEPT = "Accept every object of the open image, and open the next doubtful one"
#: So many pictures that are wanted wait; those that were scrolled past are dropped.
MOST_WANTED = 60
#: The gallery has this height at first, in pixels.
TALL = 224


class Reviewing(QObject):
    """Opens the gallery, takes images from it into the project, and goes on to the next one.

    Parameters
    ----------
    dock : NasLoraDock
        Has the project, and opens images.
    """

    def __init__(self, dock: NasLoraDock) -> None:
        super().__init__(dock)
        self._dock = dock
        self.gallery: Gallery | None = None
        self.review: Review | None = None
        self.button: Button = button("Accept and next", self.accept_and_next, ACCEPT)
        #: The image that was opened last: its number in the run, and its name in the project.
        self._opened = (-1, "")
        #: An image that is opened once there is a project.
        self._waits = -1
        self._kept = True
        #: What is left of showing a run, a part in each turn of the event loop: the first time a window needs long.
        self._parts: Iterator[Callable[[], None]] = iter(())
        self._turn = QTimer(self, singleShot=True, interval=0)
        self._turn.timeout.connect(self._next_part)
        self._tasks = Tasks(self, "naslora-review")
        self._pictures = PictureQueue(self, "naslora-gallery", MOST_WANTED, self._show_picture)
        self._outlines = WaitingLayer(dock.viewer, dock.canvas)
        dock.batch_panel.review_asked.connect(self.ask)
        dock.browsing.changed.connect(self._show_waiting)
        dock.training.project_set.connect(self._on_project)

    @property
    def busy(self) -> bool:
        """True while results are being read, or put into the window."""
        return self._tasks.busy or self._turn.isActive()

    def ask(self) -> None:
        """Look through the last run, or the one that is shown, or else let the person choose a folder of results."""
        out = self._dock.batching.out
        if out is not None and not self._dock.batching.running and (out / LEDGER).is_file():
            self.open(out)
        elif self.review is not None:
            self._show(self.review)
        else:
            self.ask_folder()

    def ask_folder(self) -> None:
        """Let the person choose a folder of results."""
        path = QFileDialog.getExistingDirectory(self._dock, "Choose a folder of results, such as NAME_segmented")
        if path:
            self.open(Path(path))

    def open(self, out: Path, folder: Path | None = None) -> None:
        """Look through the results in a folder; ``folder``: where the images are, if it is not known."""

        def read() -> Review:
            from ..batch.found import read_run  # in the thread, since what measures takes a while to import
            from ..batch.review import Review

            return Review(read_run(out, folder))

        self._tasks.run(read, self._show)

    def open_image(self, image: int) -> None:
        """Open an image in the annotator, with the objects that were found on it; they wait for the person."""
        review, project = self.review, self._dock.project
        if review is None:
            return
        if project is None:
            self._waits = image
            if review.run.folder is None:
                return tell("Open a project or a folder first: the corrected objects go there.")
            return self._dock.open_project(review.run.folder)
        self._dock.canvas.flush()
        known = len(project.images)

        def taken() -> str:
            from ..batch.review import take_in

            return take_in(review, image, project)

        def opened(name: str) -> None:
            if project is not self._dock.project or self.gallery is None:
                return
            if len(project.images) != known:
                self._dock.browsing.use(project)
            self._opened = image, name
            self._keep()
            self.gallery.refresh()
            self.gallery.choose(image)
            self._dock.show_image(name, self._say_what_waits)

        doing = f"opening {review.run.names[image]}"
        self._dock.file_tasks.run(taken, opened, self._dock.failed, doing=doing)

    def accept_and_next(self) -> None:
        """Accept every object of the open image, and open the next one of the gallery."""
        session, project, review, gallery = self._dock.session, self._dock.project, self.review, self.gallery
        if review is None or gallery is None or session is None or project is None or self._dock.file_tasks.busy:
            return
        self._dock.canvas.flush()
        image, name = self._opened
        try:
            if session.preview is not None:
                session.accept()
            if session.name:
                session.accept_automatic()
        except Exception as error:
            return report(error)
        if image >= 0 and session.name == name:
            review.note(image, str(project.path), "accepted")
            self._keep()
        gallery.refresh()
        following = gallery.next_after(image if image >= 0 else gallery.current)
        if following < 0:
            return tell("Every image that the gallery shows is accepted.")
        gallery.choose(following)
        self.open_image(following)

    def close(self) -> None:
        """Read and make nothing any more."""
        self._turn.stop()
        self._tasks.close()
        self._pictures.close()
        place = None if self.gallery is None else self.gallery.parent()
        if isinstance(place, QDockWidget):
            place.close()

    def _show(self, review: Review) -> None:
        run = review.run
        if run.folder is None:
            title = f"Where are the images of {run.wanted.out.name}?"
            path = QFileDialog.getExistingDirectory(self._dock, title)
            if path and (Path(path) / run.files[0]).exists():
                return self.open(run.wanted.out, Path(path))
            warn(f"The images of {run.wanted.out.name} are not there: their results can be seen, but not corrected.")
        old = None if self.review is None else self.review.run
        if old is None or (old.wanted.out, old.names) != (run.wanted.out, run.names):
            self._opened = (-1, "")
        self.review, self._kept = review, True
        self._pictures.clear()
        self._parts = iter((self._build, self._place, self._fill))
        self._turn.start()

    def _next_part(self) -> None:
        """Do the next part of showing a run."""
        if (part := next(self._parts, None)) is not None:
            self._turn.start()  # first, since what is reported in a part may turn the event loop
            part()

    def _fill(self) -> None:
        """Show the run in the gallery, and say what is wrong with it."""
        gallery, review = self.gallery, self.review
        assert gallery is not None and review is not None
        gallery.use(review, self._project())
        gallery.choose(self._opened[0])
        gallery.tiles.setFocus()
        run = review.run
        if run.untold:
            table = f"{run.table.name} of this version in {run.table.parent}"
            warn(f"There is no {table}: sizes and confidence are not known.")
        if run.failed:
            tell(f"{counted(len(run.failed), 'image')} of {run.wanted.out.name} could not be segmented.")

    def _build(self) -> None:
        """Make the gallery, where there is none."""
        from .gallery import Gallery  # here, since few open it and plots take a while to import

        if self.gallery is None:
            self.gallery = Gallery(self.button)
            self.gallery.opened.connect(self.open_image)
            self.gallery.folder_asked.connect(self.ask_folder)
            self.gallery.tiles.left.connect(lambda: canvas_widget(self._dock.viewer).setFocus())
            self.gallery.limited.connect(lambda done: self._keep() if done else None)
            self.gallery.model.picture_wanted.connect(self._want)

    def _place(self) -> None:
        """Put the gallery into the window, where the canvas then is drawn anew."""
        assert self.gallery is not None
        place: Any = self.gallery.parent()
        if not isinstance(place, QDockWidget):  # new, or the person has closed it
            window: Any = self._dock.viewer.window._qt_window
            window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
            self._dock.viewer.window.add_dock_widget(self.gallery, name="Review", area="bottom")
            place = self.gallery.parent()  # napari's answer is a proxy where it opened the dock, which Qt refuses
            window.resizeDocks([place], [TALL], Qt.Orientation.Vertical)
        place.show()
        self.gallery.show()
        self.gallery.distribution.follow_theme(self.gallery.palette())

    def _project(self) -> str:
        return "" if self._dock.project is None else str(self._dock.project.path)

    def _on_project(self) -> None:
        """Show what was seen in the project that is open now, and open what waited for it."""
        if self.gallery is not None and self.review is not None:
            self._opened = (-1, "")
            self.gallery.use(self.review, self._project())
        if self._waits >= 0:
            image, self._waits = self._waits, -1
            self.open_image(image)

    def _show_waiting(self) -> None:
        if self._dock.session is not None:
            self._outlines.show(self._dock.session)

    def _say_what_waits(self) -> None:
        """Say what is to be done with the image that was opened."""
        session = self._dock.session
        if session is not None and (waiting := session.annotation.status.waiting):
            keys = f" ({self.button.keys[0]})" if self.button.keys else ""
            number = counted(waiting, "automatic object")
            self._dock.editing.chosen = f"{number} to review: correct what is wrong, then 'Accept and next'{keys}."
            self._dock.show_state()

    def _want(self, image: int) -> None:
        review = self.review
        if review is None:
            return

        def make() -> np.ndarray:
            from ..batch.review_pictures import small_picture

            return small_picture(review.run, image)

        self._pictures.want(str(image), make)

    def _show_picture(self, key: str, picture: Any) -> None:
        if self.gallery is not None:
            self.gallery.model.set_picture(key, picture)

    def _keep(self) -> None:
        """Keep limits and what was seen, in the thread."""
        if self.review is not None:
            self._tasks.run(self.review.save, failed=self._not_kept, topic="keep")

    def _not_kept(self, error: BaseException) -> None:
        """Say once that it is forgotten with the window: results may lie where nothing can be written."""
        log.info("What was seen of the results is not kept: %s", error)
        if self._kept:
            self._kept = False
            warn(f"What you have looked at is not kept: {error}")
