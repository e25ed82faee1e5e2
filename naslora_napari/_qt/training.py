"""From the button to the swap: snapshot, child process, verdict, new model."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, Signal

from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.config import PRESET_STEPS, FineTuneConfig
from naslora_trainer.errors import UserError

from ..jobs.following import Trains
from ..jobs.remote import check_address
from ..live import LivePredictor
from ..store.locking import LockedError
from ..store.plan import FIRST_GUESS, Pace, TrainingPlan, pace_of, plan_of, suggested_preset
from .notify import complain, report, tell, warn
from .plan_dialog import PlanDialog
from .polling import Polling
from .settings import setting
from .tasks import Tasks
from .train_panel import TrainPanel
from .turns import Turn, Turns, ask_to_leave
from .widgets import counted, duration

if TYPE_CHECKING:
    from ..store import Project


#: Fewer labelled objects cannot be split into those that train and those that judge.
FEWEST_OBJECTS = 2
#: Two presses of the button in less than so many seconds are meant as one.
TWICE_S = 1.0


class Training(QObject):
    """One fine-tune at a time, others after it, and the swap of their results into the live predictor.

    Parameters
    ----------
    panel : TrainPanel
        What the person sees.
    predictor : LivePredictor
        Gets the new model.
    model_tasks, file_tasks : Tasks
        Threads for the model and for files.
    """

    #: A training ended: its last event, with ``swapped`` in it.
    finished = Signal(dict)
    #: Another model answers.
    swapped = Signal()
    #: Another project is open.
    project_set = Signal()

    def __init__(self, panel: TrainPanel, predictor: LivePredictor, model_tasks: Tasks, file_tasks: Tasks) -> None:
        super().__init__(panel)
        self.panel, self.predictor = panel, predictor
        self.model_tasks, self.file_tasks = model_tasks, file_tasks
        self.project: Project | None = None
        self.adapter_path: Path | None = None
        self._previous_path: Path | None = None
        self._went_back = False
        self._kept: Path | None = None
        self._run_dir: Path | None = None
        self._run_project: Project | None = None  # whose labels are trained on, whatever is opened meanwhile
        self._preparing = False
        self._pressed = 0.0
        self._pace = FIRST_GUESS
        #: What came of the last training, until the next one or another project.
        self._verdict = ""
        self._polling = Polling(self, self._on_event, self._enable_start)
        self.turns = Turns(panel, file_tasks, self._launch, self._failed)
        panel.started.connect(self.start)
        panel.cancelled.connect(self.cancel)
        panel.resumed.connect(self.resume)
        panel.rolled_back.connect(self.rollback)
        panel.forced.connect(self._force)
        panel.plan_asked.connect(self.show_plan)
        panel.preset.currentTextChanged.connect(lambda _: self.show_readiness())
        self.show_readiness()

    @property
    def running(self) -> bool:
        """True from the button until the last event."""
        return self._preparing or self.turns.beginning or self._polling.running

    @property
    def works_here(self) -> bool:
        """Whether a training computes on this computer. May be asked from any thread."""
        return self._polling.works_here

    @property
    def process_id(self) -> int | None:
        """Of the child, while there is one."""
        return self._polling.job.pid if self._polling.job is not None else None

    def set_project(self, project: Project) -> None:
        """Train on the labels of ``project`` from now on."""
        self.project = project
        self.panel.rollback_button.hide()
        self.panel.force_button.hide()
        self._verdict = ""
        if not self.running:  # the curve and the comparison are of another project's training
            self.panel.view.hide()
            self.panel.compare_button.hide()
        self.show_readiness()
        self.project_set.emit()
        self._look_at_pace()
        self.file_tasks.run(
            lambda: (project.library.in_use, project.library.base or DEFAULT_MODEL),
            lambda found: self._bring_back(project, *found),
        )

    def use(self, path: Path | None, base: str = "") -> None:
        """Let an adapter of the project answer (None: a base alone, that in use by default), and remember that."""
        self._change(path, lambda version: tell(f"The model you chose answers now ({version})."), report, base)

    def forget(self, key: str) -> None:
        """Do not go back to an adapter that was deleted."""
        for path in (self._previous_path, self._kept):
            if path is not None and path.stem == key:
                (self.panel.rollback_button if path is self._previous_path else self.panel.force_button).hide()

    def show_readiness(self) -> None:
        """Enable the button, or say what is missing, and what came of the last training."""
        hint = self._enable_start()
        if not self.running:
            self.panel.stage.setText("\n".join(filter(None, (self._verdict, hint))))

    def _enable_start(self) -> str:
        """Enable the button if it can be pressed now; return what is ready to train on, or missing."""
        summary = None if self.project is None else self.project.known_summary()
        ready = summary is not None and summary.objects >= FEWEST_OBJECTS
        if summary is None:
            hint = "Open images and accept objects first."
        elif ready:
            device = self.predictor.device
            if device:
                self.panel.suggest(suggested_preset(device, summary.objects))
            seconds = duration(self._pace.seconds(self._steps()))
            labels = f"{summary.objects} objects on {counted(summary.annotated, 'image')}"
            hint = f"{labels} are ready to train on, about {seconds}."
        else:
            hint = "Accept at least two objects, better ten on four images, to fine-tune."
        self.panel.start_button.setEnabled(ready and not self._preparing and not self.turns.full)
        after = "The labels of now are trained on after the training that runs. " if self.running else ""
        self.panel.start_button.setToolTip(after + hint)
        return hint

    def show_plan(self) -> None:
        """Show what would be learned from, and for how long; the person can start from there."""
        project, preset, steps = self.project, self.panel.preset.currentText(), self._steps()
        if project is None:
            return

        def show(found: tuple[TrainingPlan, Pace]) -> None:
            dialog = PlanDialog(found[0], preset, steps, found[1].seconds(steps), self.panel.window())
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dialog.accepted.connect(lambda: self.start(preset))
            dialog.open()

        base = self.predictor.base
        self.file_tasks.run(
            lambda: (plan_of(project), pace_of(project, base)), show, report, doing="looking at the labels"
        )

    def _steps(self) -> int:
        preset = self.panel.preset.currentText()
        return self.panel.expert.steps.value() or next(n for name, n in PRESET_STEPS.items() if name == preset)

    def _look_at_pace(self) -> None:
        """Learn from the last training how long one takes here."""
        project, base = self.project, self.predictor.base
        if project is None:
            return

        def known(pace: Pace) -> None:
            self._pace = pace
            self.show_readiness()

        self.file_tasks.run(lambda: pace_of(project, base), known, topic="pace")

    def start(self, preset: str) -> None:
        """Take a snapshot of all labels in a thread, then train, after the training that runs."""
        twice = time.monotonic() - self._pressed < TWICE_S
        if self.project is None or self._preparing or self.turns.full or twice:
            return
        compare = "" if self.adapter_path is None else str(self.adapter_path)
        project, base = self.project, self.predictor.base
        try:
            address = check_address(self.panel.where.text()) if self.panel.where.text().strip() else ""
            config = FineTuneConfig.checked(
                preset=preset,
                base=base,
                compare_with=compare,
                start=compare if self.panel.goes_on else "",
                **self.panel.expert.settings,
            )
        except UserError as error:
            return report(error)
        self._pressed = time.monotonic()
        if not self.running:
            self.panel.show_running(True)
        self._preparing = True
        self.panel.start_button.setEnabled(False)

        def made(run: Path) -> None:
            if self._preparing:  # else it was cancelled meanwhile
                self._preparing = False
                self.turns.add(Turn(project, run, address), waits=self.running)
                self._next()
                self._enable_start()

        def failed(error: BaseException) -> None:
            self._preparing = False
            self._failed(error)

        self.file_tasks.run(lambda: project.new_run(config), made, failed, doing="collecting the labels")

    def resume(self) -> None:
        """Go on with the training that was interrupted last."""
        self.turns.resume()
        self._next()

    def cancel(self) -> None:
        """Stop; labels and model stay as they are."""
        self.panel.cancel_button.setEnabled(False)
        self.panel.stage.setText("Stopping…")
        self._preparing = False
        self.turns.stop_beginning()
        self._polling.cancel()
        if not self._polling.running:
            self._end({"event": "result", "status": "cancelled"})

    def rollback(self) -> None:
        """Bring the previous model back."""
        self.panel.rollback_button.setEnabled(False)
        self.model_tasks.run(self.predictor.rollback, self._rolled_back, self._swap_failed, doing="going back")

    def may_leave(self) -> bool:
        """Return whether the window may close; the person is asked what becomes of a training."""
        if not self._polling.running:
            return True
        away = self.turns.current is not None and self.turns.current.address
        chosen = ask_to_leave(self.panel, f"on {away}" if away else "in the background")
        if chosen == "go on":
            self._polling.let_go()
        elif chosen == "end":
            self.turns.drop_all()
        return chosen != "stay"

    def close(self) -> None:
        """End the child."""
        self._preparing = False
        self.turns.stop_beginning()
        self._polling.close()

    def _next(self) -> None:
        """Let the next training begin, where none runs."""
        if not self.running:
            self.turns.next(self.adapter_path)

    def _launch(self, turn: Turn, job: Trains, ended: bool) -> None:
        self._run_project, self._run_dir = turn.project, turn.run
        self.panel.show_running(True)
        try:
            (self._polling.attach if ended else self._polling.start)(job)
        except Exception as error:
            self._failed(error)
        self._enable_start()

    def _on_event(self, event: dict[str, Any]) -> None:
        self.panel.show_event(event)
        if event["event"] == "warning":
            warn(event["message"])
        elif event["event"] == "error":
            complain(str(event["message"]), str(event.get("hint", "")))
            self._end(event, "The training ended with an error; labels and model are as they were.")
        elif event["event"] == "result" and event["status"] == "cancelled":
            self._end(event)
        elif event["event"] == "result":
            self._adopt(event)

    def _adopt(self, event: dict[str, Any]) -> None:
        """Keep the adapter in the project, and use it if it is better."""
        project, run_dir = self._run_project, self._run_dir
        if project is None or run_dir is None:
            return
        self.panel.stage.setText("Putting the new model in place…" if event["better"] else event["reason"])

        def kept(path: Path) -> None:
            better, here = event["better"], project is self.project
            if better and here and setting("training", "use_better", True):
                self._swap(path, event)
                return
            self._kept = path
            if here:
                self.panel.offer(better)
            message = f"{event['reason']} {'It is kept; the' if better else 'The'} one in use stays."
            self._end(event, message)
            (tell if better else warn)(message)

        self.file_tasks.run(lambda: project.adopt(run_dir), kept, self._failed, doing="keeping the new model")

    def _swap(self, path: Path, event: dict[str, Any]) -> None:
        """End a training with its model in place."""

        def done(version: str) -> None:
            tell(f"New model in place{_gain(event.get('validation', {}))}")
            self._end({**event, "swapped": True, "version": version}, event["reason"])

        self._change(path, done, self._failed)

    def _change(
        self,
        path: Path | None,
        then: Callable[[str], None],
        failed: Callable[[BaseException], None],
        base: str = "",
    ) -> None:
        def done(version: str) -> None:
            self._previous_path = self.adapter_path
            self._in_use(path)
            self._went_back = False
            self.panel.offer_back(False)
            then(version)
            self.swapped.emit()

        self.model_tasks.run(lambda: self.predictor.swap(path, base), done, failed, doing="changing to the new model")

    def _force(self) -> None:
        self.panel.force_button.hide()
        if self._kept is not None:
            self.use(self._kept)

    def _rolled_back(self, version: str) -> None:
        before, self._previous_path = self._previous_path, self.adapter_path
        self._in_use(before)
        self._went_back = not self._went_back
        self.panel.offer_back(self._went_back)
        which = "previous model" if self._went_back else "model you came from"
        tell(f"The {which} answers again ({version}).")
        self.swapped.emit()

    def _bring_back(self, project: Project, path: Path | None, base: str) -> None:
        """Let the model answer with which the person worked in a project that was opened; then look for trainings."""
        if project is not self.project:
            return
        if path == self.adapter_path and (path is not None or base == self.predictor.base):
            return self.turns.find(project, self._next)

        def done(_: str) -> None:
            self._in_use(path, remember=False)
            self.swapped.emit()
            self.turns.find(project, self._next)

        def failed(error: BaseException) -> None:
            report(error)
            if (path, base) != (None, DEFAULT_MODEL):
                self._bring_back(project, None, DEFAULT_MODEL if path is None else base)

        self.model_tasks.run(
            lambda: self.predictor.swap(path, base), done, failed, doing="loading the model of the project"
        )

    def _in_use(self, path: Path | None, remember: bool = True) -> None:
        """Note which adapter answers, here and in the project that it belongs to."""
        self.adapter_path = path
        self.panel.show_adapter(path is not None)
        self._look_at_pace()
        project = self.project
        if remember and project is not None and (path is None or path.parent.parent == project.path):
            key, base = "" if path is None else path.stem, self.predictor.base
            self.file_tasks.run(lambda: project.library.use(key, base), failed=self._not_remembered)

    def _not_remembered(self, error: BaseException) -> None:
        if not isinstance(error, LockedError):  # a project that is only read does not change
            report(error)

    def _swap_failed(self, error: BaseException) -> None:
        self.panel.rollback_button.setEnabled(True)
        report(error)

    def _failed(self, error: BaseException) -> None:
        report(error)
        self._end({"event": "error", "message": str(error)}, str(error))

    def _end(self, event: dict[str, Any], message: str = "") -> None:
        if not self.running:
            self._verdict = message
            self.panel.show_running(False)
            self.show_readiness()
            self.turns.offer_again()
        self.finished.emit({"swapped": False, **event})
        self._next()


def _gain(validation: dict[str, dict[str, float]]) -> str:
    """What was gained on held-out objects, in few words."""
    if not validation:
        return "."
    parts = [f"{kind} {dice['before']:.2f} to {dice['after']:.2f}" for kind, dice in validation.items()]
    return f": held-out Dice {', '.join(parts)}."
