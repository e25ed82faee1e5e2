"""Fine-tune on my labels: one button, a live curve, and what came of it."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QLineEdit, QWidget

from .comparison_dialog import ComparisonDialog
from .curve import Curve
from .expert_choices import ExpertChoices
from .train_view import TrainView
from .widgets import Bar, Panel, button, counted, duration, named, wrapped

PRESETS = {
    "quick": "64 steps: minutes on a laptop",
    "standard": "200 steps",
    "thorough": "600 steps: for a GPU, or overnight",
}
BACK, FORTH = "Back to the previous model", "Undo going back"
#: Stages whose names say little to a person.
STAGES = {"seeds": "learning to find objects by itself"}


START = "Train a model on the accepted objects, in a process of its own; go on clicking meanwhile"
GOES_BACK = "Let the model answer that was in use before; again: the newer one"
ANYWAY = "It was not better on held-out objects, or nobody was asked yet; one click goes back"


class TrainPanel(Panel):
    """The button, its progress, and the way back."""

    started = Signal(str)
    cancelled = Signal()
    rolled_back = Signal()
    forced = Signal()
    resumed = Signal()
    unqueued = Signal()
    models_asked = Signal()
    plan_asked = Signal()

    def __init__(self) -> None:
        super().__init__("3  Fine-tune")
        self.start_button = button("Fine-tune on my labels", self._start, START)
        self.cancel_button = button(
            "Cancel", self.cancelled.emit, "Stop the training; labels and model stay as they are"
        )
        self.preset = QComboBox()
        named(self.preset, "Preset", "How long to train: quick takes minutes, thorough is for a GPU or overnight")
        self._preset_chosen = False
        self.preset.activated.connect(lambda _: self._choose_preset())
        for name, tooltip in PRESETS.items():
            self.preset.addItem(name)
            self.preset.setItemData(self.preset.count() - 1, tooltip, 3)  # Qt.ToolTipRole
        self.more_button = button("⋯", self._fold, "What is rarely chosen", checkable=True)
        self.more_button.setFixedWidth(34)
        self.add_row(self.start_button, self.preset, self.more_button, wide=0)
        self.go_on = QCheckBox("From the model in use")
        self.where = QLineEdit()
        self.where.setPlaceholderText("this computer, or tcp://computer:8786")
        cluster = "The scheduler of a Dask cluster that trains in this computer's place; empty: it does so"
        named(self.where, "Train on", cluster)
        self.more = QWidget()
        choices = QFormLayout(self.more)
        choices.setContentsMargins(0, 0, 0, 0)
        choices.addRow(self.go_on)
        choices.addRow("Train on", self.where)
        self.expert = ExpertChoices()
        choices.addRow(self.expert)
        self.plan_button = button(
            "What is learned from…", self.plan_asked.emit, "Images, objects, classes, what is held out or ignored"
        )
        choices.addRow(self.plan_button)
        self.add(self.more)
        self.stage = wrapped()
        self.models_button = button(
            "Models…", self.models_asked.emit, "All models of this project: use, compare, share"
        )
        self.add_row(self.stage, self.models_button, wide=0)
        self.resume_button = button(
            "Go on with the interrupted training", self.resumed.emit, "It goes on as if it had not been interrupted"
        )
        self.add(self.resume_button)
        self.progress = Bar()
        self.add_row(self.progress, self.cancel_button, wide=0)
        self.waiting = wrapped()
        self.unqueue_button = button("Take off", self.unqueued.emit, "Do not train again after this one")
        self.add_row(self.waiting, self.unqueue_button, wide=0)
        self.view = TrainView()
        self.compare_button = button(
            "Compare…", self._compare, "The new model beside the one before: figures, and where it did worst"
        )
        self._comparison: dict[str, Any] = {}
        self.rollback_button = button(BACK, self.rolled_back.emit, GOES_BACK)
        self.force_button = button("Use the new model anyway", self.forced.emit, ANYWAY)
        self.add(self.view)
        self.add_row(self.rollback_button, self.compare_button, wide=0)
        self.add(self.force_button)
        for widget in (self.progress, self.cancel_button, self.view, self.rollback_button, self.force_button):
            widget.hide()
        self.compare_button.hide()
        self.resume_button.hide()
        self.more.hide()
        self.show_waiting(0)
        self.show_adapter(False)

    def _start(self) -> None:
        self.started.emit(self.preset.currentText())

    def _fold(self) -> None:
        self.more.setVisible(self.more_button.isChecked())

    @property
    def goes_on(self) -> bool:
        """Whether the next training starts from the adapter in use, and not from the base model."""
        return self.go_on.isEnabled() and self.go_on.isChecked()

    def suggest(self, preset: str) -> None:
        """Choose a preset, unless the person has chosen one."""
        if not self._preset_chosen and preset != self.preset.currentText():
            self.preset.setCurrentText(preset)

    def _choose_preset(self) -> None:
        self._preset_chosen = True

    def show_adapter(self, there: bool) -> None:
        """Let the person choose what a training starts from, where an adapter is in use."""
        self.go_on.setEnabled(there)
        self.go_on.setToolTip(
            "Otherwise each training starts from the base model and learns from all labels, which is safer."
            if there
            else "The base model is in use: a training starts from it."
        )

    def offer(self, better: bool) -> None:
        """Offer the new model, which is not in use."""
        self.force_button.rename("Use the new model" if better else "Use the new model anyway")
        self.force_button.show()

    def offer_back(self, went_back: bool) -> None:
        """Offer the model before, or, when the person has gone back, the one they came from."""
        self.rollback_button.rename(FORTH if went_back else BACK)
        self.rollback_button.setEnabled(True)
        self.rollback_button.show()

    def show_running(self, running: bool) -> None:
        """Show or hide progress and cancel."""
        self.progress.setVisible(running)
        self.cancel_button.setVisible(running)
        self.cancel_button.setEnabled(running)
        if running:
            self.force_button.hide()
            self.compare_button.hide()
            self.view.show()
            self.progress.wait()
            self.stage.setText("Preparing the labels…")

    def show_waiting(self, count: int) -> None:
        """Show how many trainings wait for their turn."""
        self.waiting.setText(f"{counted(count, 'training')} {'waits' if count == 1 else 'wait'} for its turn.")
        for widget in (self.waiting, self.unqueue_button):
            widget.setVisible(count > 0)

    def show_event(self, event: dict[str, Any]) -> None:
        """Show one event of the training process."""
        kind = event["event"]
        if kind == "started":
            self.view.start(int(event["steps"]))
            objects = event["objects"]
            self.stage.setText(f"{objects['train']} objects train, {objects['validation']} judge.")
        elif kind == "progress":
            self.progress.show_part(int(event["step"]), int(event["steps"]))
            left = f", about {duration(event['eta_s'])} left" if event.get("eta_s") else ""
            memory = f", {event['memory_mb'] / 1024:.1f} GB" if event.get("memory_mb") else ""
            stage = STAGES.get(event["stage"], event["stage"])
            self.stage.setText(f"Stage: {stage}{left}{memory}")
        elif kind == "comparison":
            self._comparison = event
            self.compare_button.show()
        self.view.show_event(event)

    def _compare(self) -> None:
        dialog = ComparisonDialog(self._comparison, self.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    @property
    def curve(self) -> Curve:
        """The curve of the training."""
        return self.view.curve
