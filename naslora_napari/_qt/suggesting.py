"""The image whose labels would help most: found in the model's thread, a portion at a time."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

from naslora_trainer.errors import UserError

from ..live.doubt import Doubt, ranked
from ..live.kept_doubts import KeptDoubts, labelled, to_label
from ..store.records import ImageEntry
from .ahead import REST_MS
from .notify import tell

if TYPE_CHECKING:
    from ..store import Project
    from .dock import NasLoraDock

log = logging.getLogger("naslora_napari")

#: A person who asked gets an answer when so many images were measured; the others follow while the hand rests.
ENOUGH = 12


class Suggesting(QObject):
    """Opens the image that the model doubts most, and keeps measuring others when nothing else is to be done.

    Parameters
    ----------
    dock : NasLoraDock
        Has the project, the predictor and its thread.
    """

    def __init__(self, dock: NasLoraDock) -> None:
        super().__init__(dock)
        self._dock, self._panel = dock, dock.open_panel
        self._kept = KeptDoubts(None)
        self._doubts: dict[str, Doubt] = {}
        self._left: list[ImageEntry] = []
        self._encoded = ""  # the image that only the decoder has to be asked about
        self._measured = 0
        self._round = 0  # answers to an earlier round are not for this one
        self._used = False
        self._asked_on: str | None = None  # the image that was open when the person asked
        self._rest = QTimer(self, singleShot=True)
        self._rest.timeout.connect(self._measure)
        self._panel.suggest_asked.connect(self.ask)
        dock.training.swapped.connect(self._on_swapped)
        dock.canvas.prompts_edited.connect(self._wait)

    def use(self, project: Project) -> None:
        """Suggest images of a project from now on."""
        try:
            self._kept = KeptDoubts(project.cache_dir / "doubts")
        except UserError as error:
            log.warning("Doubts are not kept: %s", error)
            self._kept = KeptDoubts(None)
        self._stop()
        self._used = False
        self._panel.show_suggestion("", "")

    def close(self) -> None:
        """Measure nothing any more."""
        self._stop()

    def ask(self) -> None:
        """Open the image to label next, as soon as it is known."""
        if self._dock.project is not None and self._asked_on is None:
            self._used = True
            self._begin(0)
            self._asked_on = self._panel.list.current

    def _on_swapped(self) -> None:
        """Measure again: another model doubts other images."""
        if self._used:
            asked_on = self._asked_on
            self._begin(REST_MS if asked_on is None else 0)
            self._asked_on = asked_on

    def _begin(self, rest: int) -> None:
        project = self._dock.project
        assert project is not None
        self._stop()
        self._left = to_label(project.images, project.status)
        random.Random(0).shuffle(self._left)  # the first few are a sample of all
        if self._left:
            self._left += labelled(project.images, project.status)  # nothing like them is new
        self._rest.start(rest)

    def _stop(self) -> None:
        self._rest.stop()
        self._round += 1
        self._doubts, self._left, self._measured, self._asked_on = {}, [], 0, None

    def _wait(self) -> None:
        if self._rest.isActive():
            self._rest.start(REST_MS)

    def _measure(self) -> None:
        """Let the model do the next portion: encode an image, or ask about one that is encoded."""
        dock, project = self._dock, self._dock.project
        if project is None:
            return
        if not self._left:
            return self._answer(project)
        if self._asked_on is None and (dock.busy or dock.training.running or dock.batching.running):
            return self._rest.start(REST_MS)
        entry, this_round = self._left[0], self._round
        kept, predictor, encoded = self._kept, dock.predictor, self._encoded == self._left[0].name

        def portion() -> Doubt | None:
            predictor.load()
            known = kept.get(entry, predictor.identity)
            if known is None and not encoded:
                predictor.prefetch(project.picture(entry.name))
                return None
            return known or kept.measure(entry, lambda: project.picture(entry.name), predictor)

        def failed(error: BaseException) -> None:
            log.info("%s was not measured: %s", entry.name, error)
            if this_round == self._round:
                self._go_on(entry, None)

        def done(found: Doubt | None) -> None:
            if this_round != self._round:
                return
            if found is None:
                self._encoded = entry.name
                self._rest.start(0 if self._asked_on is not None else REST_MS)
            else:
                self._measured += encoded
                self._go_on(entry, found)

        doing = f"looking at {entry.name}: {len(self._left)} to go" if self._asked_on is not None else ""
        dock.model_tasks.run(portion, done, failed, topic="suggest", idle=True, doing=doing)

    def _go_on(self, entry: ImageEntry, found: Doubt | None) -> None:
        self._left.remove(entry)
        self._encoded = ""
        if found is not None:
            self._doubts[entry.name] = found
        if self._dock.project is not None and (not self._left or self._measured >= ENOUGH):
            self._answer(self._dock.project)
        if self._left:
            self._rest.start(0 if self._asked_on is not None or not self._measured else REST_MS)

    def _answer(self, project: Project) -> None:
        """Show what is suggested, and open it if the person asked and has not gone elsewhere meanwhile."""
        asked_on, self._asked_on = self._asked_on, None
        current = self._panel.list.current
        wanted = [entry.name for entry in to_label(project.images, project.status) if entry.name in self._doubts]
        taken = [name for name in self._doubts if name not in wanted or name == current or project.status(name).objects]
        order = ranked(self._doubts, 1, taken) or [name for name in ranked(self._doubts) if name in wanted]
        order = [name for name in order if name != current]
        if not order:
            self._panel.show_suggestion("", "")
            if asked_on is not None:
                tell("No other image is left to label.")
            return
        name = order[0]
        self._panel.show_suggestion(name, f"{self._doubts[name].why} (doubt {self._doubts[name].value:.2f})")
        if asked_on == current:
            self._dock.show_image(name)
        elif asked_on is not None:
            tell(f"Label next: {name}.")
