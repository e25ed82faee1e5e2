"""What a fine-tune would learn from, before it starts."""

from __future__ import annotations

from html import escape

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QLabel, QVBoxLayout, QWidget

from ..store.plan import TrainingPlan
from .widgets import duration


class PlanDialog(QDialog):
    """Shows a plan, and lets the person start.

    Parameters
    ----------
    plan : TrainingPlan
        What would be learned from.
    preset : str
        Which settings.
    steps : int
        How many steps these are.
    seconds : float
        How long they take, about.
    parent : QWidget, optional
        The window it belongs to.
    """

    def __init__(
        self, plan: TrainingPlan, preset: str, steps: int, seconds: float, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("What the fine-tune learns from")
        rows = [*plan.rows, ("Time", f"about {duration(seconds)} for {steps} steps ({preset})")]
        cells = "".join(
            f"<tr><td><b>{escape(title)}</b>&nbsp;&nbsp;</td><td>{escape(text)}</td></tr>" for title, text in rows
        )
        self.text = QLabel(f"<table cellspacing=6>{cells}</table>")
        self.text.setTextFormat(Qt.TextFormat.RichText)
        self.text.setWordWrap(True)
        self.text.setFixedWidth(500)
        buttons = QDialogButtonBox()
        buttons.addButton("Fine-tune", QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.addButton(QDialogButtonBox.StandardButton.Close)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        whole = QVBoxLayout(self)
        whole.addWidget(self.text)
        whole.addWidget(buttons)
        whole.setSizeConstraint(QVBoxLayout.SizeConstraint.SetFixedSize)  # as high as the text needs
