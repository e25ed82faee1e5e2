"""How the new model does beside the one in use and the base model, and where it lost most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from .train_view import picture_in
from .widgets import named, wrapped

COLUMNS = ("Base model", "In use before", "New model", "Difference", "Verdict")
#: Height of a row of the table, in pixels.
ROW = 32
KINDS = {"click": "One click", "box": "One box", "auto": "Automatic"}


class ComparisonDialog(QDialog):
    """Shows one ``comparison`` event of a training.

    Parameters
    ----------
    event : mapping
        ``validation`` (by prompt: ``base``, ``before``, ``after``, ``noise``, ``outcome``), ``automatic`` (the same
        without ``base``, or None), ``reason``, and ``cases`` with a picture each.
    parent : QWidget, optional
        The window it belongs to.
    """

    def __init__(self, event: Mapping[str, Any], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("The new model beside the others")
        scores = dict(event.get("validation") or {})
        text = "Dice on held-out objects, from 0 to 1: labels of yours that the training never saw."
        if event.get("automatic"):
            scores["auto"] = event["automatic"]
            text += (
                " Automatic: what it finds by itself where every object is labelled, in held-out images or around "
                "held-out objects (F1 at IoU 0.5); empty where a model does not do that."
            )
        text += (
            " Behind ±: what chance can make of so few objects. A difference within it is none, unless it is large: "
            "then it counts all the same. What is worse in one row is not put in place by itself."
        )
        self.table = _table(scores)
        whole = QVBoxLayout(self)
        whole.addWidget(wrapped(text))
        whole.addWidget(self.table)
        whole.addWidget(wrapped(str(event.get("reason", ""))))
        self.pictures = [_case(case) for case in event.get("cases", []) if picture_in(case.get("jpeg")) is not None]
        if self.pictures:
            whole.addWidget(
                wrapped(
                    "Where the new model did worst against the one before. Left: before, right: new; white: your "
                    "outline, orange: the model's."
                )
            )
            row = QHBoxLayout()
            for picture in self.pictures:
                row.addWidget(picture, 0, Qt.AlignmentFlag.AlignTop)
            row.addStretch(1)
            whole.addLayout(row)
        whole.addStretch(1)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        whole.addWidget(buttons)
        self.resize(760, 0)


def _table(validation: Mapping[str, Mapping[str, Any]]) -> QTableWidget:
    rows = [(kind, validation[kind]) for kind in KINDS if kind in validation]
    table = QTableWidget(len(rows), len(COLUMNS))
    table.setHorizontalHeaderLabels(COLUMNS)
    table.setVerticalHeaderLabels([KINDS[kind] for kind, _ in rows])
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
    table.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    named(table, "Dice on held-out objects", "From 0 to 1: of labels that the training never saw")
    for row, (_, score) in enumerate(rows):
        numbers = (_number(score.get("base")), _number(score["before"]), _number(score["after"]))
        texts = (*numbers, _change(score), str(score.get("outcome", "")))
        for column, text in enumerate(texts):
            cell = QTableWidgetItem(text)
            cell.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
            table.setItem(row, column, cell)
    table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
    table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    table.verticalHeader().setDefaultSectionSize(ROW)
    table.setFixedHeight(ROW * (len(rows) + 1) + 8)
    return table


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float | int) else ""


def _change(score: Mapping[str, Any]) -> str:
    """Return the difference, and what chance can make of it where that is known."""
    before, after, noise = score["before"], score["after"], _number(score.get("noise"))
    if before is None or after is None:
        return ""
    return f"{after - before:+.3f}" + (f" ± {noise}" if noise else "")


def _case(case: Mapping[str, Any]) -> QWidget:
    """Return the picture of a case with what it is below it."""
    image = picture_in(case["jpeg"])
    assert image is not None
    shown = QLabel()
    shown.setPixmap(QPixmap.fromImage(image).scaledToWidth(230, Qt.TransformationMode.SmoothTransformation))
    kind = KINDS.get(case["prompt"], case["prompt"]).lower()
    text = QLabel(f"{case['name']}, object {case['object']}\n{kind}: {case['before']:.2f} → {case['after']:.2f}")
    text.setTextFormat(Qt.TextFormat.PlainText)
    widget = QWidget()
    column = QVBoxLayout(widget)
    column.setContentsMargins(0, 0, 0, 0)
    column.addWidget(shown)
    column.addWidget(text)
    return widget
