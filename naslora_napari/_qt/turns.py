"""Whose turn it is: trainings that wait, that were left running or interrupted, and what becomes of them at the end."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QMessageBox, QWidget

from ..jobs import training_job
from ..jobs.following import Trains
from ..store.runs import WAITING, State, adopted, set_rival, state_of
from .tasks import Tasks
from .train_panel import TrainPanel

if TYPE_CHECKING:
    from ..store import Project

#: So many may wait: more of them would only learn from labels that are out of date.
MOST_WAITING = 3


@dataclass(frozen=True)
class Turn:
    """A training: whose labels it learns from, in which folder, and on which cluster (empty: this computer)."""

    project: Project
    run: Path
    address: str = ""


class Turns(QObject):
    """The trainings that come after the one that runs. What they are is in their folders, and outlives the window.

    Parameters
    ----------
    panel : TrainPanel
        Shows how many wait, and offers what was interrupted.
    file_tasks : Tasks
        Thread for files.
    launch : callable
        Follows a job of a turn whose time has come.
    failed : callable
        Gets why a turn could not begin.
    """

    def __init__(
        self,
        panel: TrainPanel,
        file_tasks: Tasks,
        launch: Callable[[Turn, Trains, bool], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        super().__init__(panel)
        self._panel, self._file_tasks = panel, file_tasks
        self._launch, self._failed = launch, failed
        self._waiting: list[Turn] = []
        self._interrupted: Turn | None = None
        self._beginning = False
        self.current: Turn | None = None
        panel.unqueued.connect(self.drop)

    @property
    def beginning(self) -> bool:
        """True while the files of a turn are looked at, before it is launched."""
        return self._beginning

    @property
    def full(self) -> bool:
        """Whether no more can wait."""
        return len(self._waiting) >= MOST_WAITING

    def add(self, turn: Turn, waits: bool) -> None:
        """Let a run that was made now be the next one, or ``waits`` for its turn."""
        if waits:
            (turn.run / WAITING).write_text(turn.address, encoding="utf-8")
        self._waiting.append(turn)
        self._show()

    def next(self, rival: Path | None) -> None:
        """Begin with the one that waited longest, if there is one.

        Parameters
        ----------
        rival : Path or None
            The adapter in use, which it has to beat.
        """
        if self._beginning or not self._waiting:
            return
        self._beginning = True
        self.current = turn = self._waiting.pop(0)
        self._show()
        self._offer(None)

        def begin() -> tuple[Trains, State]:
            state = state_of(turn.run)
            if state == "waiting":
                set_rival(turn.run, rival)
                (turn.run / WAITING).unlink(missing_ok=True)
            return training_job(turn.run, turn.address), state

        def begun(found: tuple[Trains, State]) -> None:
            if self._beginning:
                self._beginning = False
                self._launch(turn, found[0], found[1] == "done")

        def failed(error: BaseException) -> None:
            self._beginning = False
            self._failed(error)

        self._file_tasks.run(begin, begun, failed, doing="starting the training")

    def stop_beginning(self) -> None:
        """Let nothing come of the turn that is about to begin."""
        self._beginning = False

    def find(self, project: Project, then: Callable[[], None]) -> None:
        """Look for the trainings of a project that was opened, and call ``then`` when one of them has its turn.

        Those that run, and those that ended while nobody looked, are followed to their end; those that wait, wait on;
        the last one is offered if it was interrupted.
        """
        if project.read_only:
            return

        def look() -> list[tuple[Turn, State]]:
            kept = {path.stem for path in project.adapters()}
            found = []
            for run in project.runs():
                state = state_of(run)
                if state == "done" and (adopted(run) or run.name in kept):
                    state = "over"
                address = (run / WAITING).read_text(encoding="utf-8") if state == "waiting" else ""
                found.append((Turn(project, run, address), state))
            return found

        def found(turns: list[tuple[Turn, State]]) -> None:
            known = {turn.run for turn in (*self._waiting, *([self.current] if self.current else []))}
            self._waiting += [
                turn for turn, state in turns if state in ("running", "waiting", "done") and turn.run not in known
            ]
            self._show()
            if turns and turns[-1][1] == "interrupted" and turns[-1][0].run not in known:
                self._offer(turns[-1][0])
            if self._waiting:
                then()

        self._file_tasks.run(look, found, doing="looking for trainings")

    def offer_again(self) -> None:
        """Offer to go on with the one that ended now, where that is possible."""
        if self.current is not None and state_of(self.current.run) == "interrupted":
            self._offer(self.current)

    def resume(self) -> None:
        """Let the interrupted one be the next."""
        if self._interrupted is not None:
            self._waiting.insert(0, self._interrupted)
            self._offer(None)

    def drop(self) -> None:
        """Take the newest one that waits off the list, and remove it."""
        for i in range(len(self._waiting) - 1, -1, -1):
            run = self._waiting[i].run
            if (run / WAITING).exists():
                del self._waiting[i]
                shutil.rmtree(run, ignore_errors=True)
                break
        self._show()

    def drop_all(self) -> None:
        """Remove all that wait."""
        while any((turn.run / WAITING).exists() for turn in self._waiting):
            self.drop()

    def _offer(self, turn: Turn | None) -> None:
        self._interrupted = turn
        self._panel.resume_button.setVisible(turn is not None)

    def _show(self) -> None:
        self._panel.show_waiting(len(self._waiting))


def ask_to_leave(parent: QWidget, where: str) -> str:
    """Ask what becomes of a training when the window closes: "go on", "end", or "stay"."""
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("A training runs")
    box.setText(
        f"A training runs {where}. It can go on without this window: the next time you open the project, its result "
        "is taken over. If you end it, you can go on with it later from where it is."
    )
    go_on = box.addButton("Let it go on", QMessageBox.ButtonRole.AcceptRole)
    end = box.addButton("End it", QMessageBox.ButtonRole.DestructiveRole)
    stay = box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(go_on)
    box.setEscapeButton(stay)
    box.exec()
    chosen = box.clickedButton()
    return "go on" if chosen is go_on else "end" if chosen is end else "stay"
