"""The window can be worked with by keys alone, by those who have it read aloud, and by those who point and wonder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QDialogButtonBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QTabBar,
    QWidget,
)

from naslora_napari._qt.comparison_dialog import ComparisonDialog
from naslora_napari._qt.dock import NasLoraDock
from naslora_napari._qt.keys import ACTIONS
from naslora_napari._qt.library_dialog import LibraryDialog
from naslora_napari._qt.plan_dialog import PlanDialog
from naslora_napari.store.plan import TrainingPlan

from .conftest import Window

ROOT = Path(__file__).resolve().parents[2]
FIELDS = (QAbstractButton, QComboBox, QLineEdit, QAbstractSpinBox, QAbstractItemView, QPlainTextEdit)
#: What Qt makes inside of its own fields.
WITHIN = (QComboBox, QAbstractSpinBox, QLineEdit, QAbstractItemView, QTabBar)
#: Panels that unfold, and what only one state of the work shows: all of it is looked at.
FOLDED = ("train_panel.more", "train_panel.view", "open_panel.list", "open_panel.channels")


def fields_in(root: QWidget) -> list[QWidget]:
    """Return what a person presses, chooses or types in."""
    found = [w for w in root.findChildren(QWidget) if isinstance(w, FIELDS) and root.isAncestorOf(w)]
    return [w for w in found if not isinstance(w.parent(), WITHIN)]


def in_order_of_tab(root: QWidget, first: QWidget) -> list[QWidget]:
    """Return the fields of ``root`` that the Tab key leads to from the first one on, until it leaves ``root``."""
    first.setFocus(Qt.FocusReason.TabFocusReason)
    reached: list[QWidget] = []
    at = root.window().focusWidget()
    while root.isAncestorOf(at) and at not in reached:
        reached.append(at)
        at.focusNextPrevChild(True)
        at = root.window().focusWidget()
    return [widget for widget in reached if isinstance(widget, FIELDS)]


def read_aloud(widget: QWidget) -> str:
    """Return what a program that reads the window calls a field: Qt takes the first of these that is there."""
    label = next((label for label in widget.parent().findChildren(QLabel) if label.buddy() is widget), None)
    text = widget.text() if isinstance(widget, QAbstractButton) else ""
    return widget.accessibleName() or text or (label.text() if label is not None else "")


def complaints(fields: Iterable[QWidget]) -> list[str]:
    """Return which fields have no name in words, no tooltip, or are passed over by the Tab key."""
    found = []
    for widget in fields:
        what = f"{type(widget).__name__} {widget.parent()} {read_aloud(widget)!r}"
        standard = isinstance(widget, QPushButton) and isinstance(widget.parent(), QDialogButtonBox)
        if not re.search(r"[A-Za-z]{2}", read_aloud(widget)):
            found.append(f"no name: {what}")
        if not widget.toolTip() and not standard:  # "Close" needs no other words
            found.append(f"no tooltip: {what}")
        if not widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
            found.append(f"not reached: {what}")
    return found


def test_every_field_has_a_name_and_a_tooltip_and_is_reached_in_the_order_of_reading(closed_window: Window) -> None:
    window, dock = closed_window, closed_window.dock
    window.settle()
    for path in FOLDED:
        panel, name = path.split(".")
        getattr(getattr(dock, panel), name).show()
    for widget in fields_in(dock):
        widget.show()
        widget.setEnabled(True)
    window.qtbot.wait(50)
    fields = in_order_of_tab(dock, dock.open_panel.image_button)
    assert len(fields) > 50 and not complaints(fields) and set(fields) == set(fields_in(dock))
    places = [widget.mapTo(dock, QPoint(0, widget.height() // 2)) for widget in fields]
    backward = [
        (read_aloud(fields[i]), read_aloud(fields[i + 1]))
        for i, (one, next) in enumerate(zip(places, places[1:], strict=False))
        if next.y() < one.y() - 8 or (abs(next.y() - one.y()) <= 8 and next.x() < one.x())
    ]
    assert not backward
    _every_button_has_its_key_or_tab(window, fields)
    _habits_are_kept(window)


def test_every_field_of_the_dialogs_has_a_name_and_a_tooltip_and_is_reached(qtbot: QtBot) -> None:
    event = {"validation": {"click": {"base": 0.1, "before": 0.2, "after": 0.3}}, "reason": "It is better."}
    plan = TrainingPlan(2, 12, {"nucleus": 12}, 4, False, (), background=True)
    for dialog in (LibraryDialog(), ComparisonDialog(event), PlanDialog(plan, "quick", 64, 100.0)):
        qtbot.addWidget(dialog)
        fields = fields_in(dialog)
        assert fields and not complaints(fields), dialog.windowTitle()


def _every_button_has_its_key_or_tab(window: Window, fields: list[QWidget]) -> None:
    """Press what has no key of its own with Tab and Space, and look at what came of it."""
    shown = {action.button(window.dock) for action in ACTIONS if action.button is not None}
    assert all("(" in button.toolTip() for button in shown)
    more = window.dock.train_panel.more_button
    assert more in fields and more not in shown
    window.dock.train_panel.more.hide()
    more.setChecked(False)
    more.setFocus(Qt.FocusReason.TabFocusReason)
    window.qtbot.keyClick(more, Qt.Key.Key_Space)
    assert window.dock.train_panel.more.isVisible()


def _habits_are_kept(window: Window) -> None:
    """Choose something else than the default with the mouse and by keys, and open another dock."""
    prompt, train = window.dock.prompt_panel, window.dock.train_panel
    window.qtbot.mouseClick(prompt.hover_button, Qt.MouseButton.LeftButton)
    for box, times in ((prompt.overlap_box, 1), (train.preset, 2)):
        box.setFocus()
        for _ in range(times):
            window.qtbot.keyClick(box, Qt.Key.Key_Down)
    window.dock.batch_panel.also_button.menu().actions()[0].trigger()
    window.dock.close_down()
    dock = NasLoraDock(window.viewer)
    window.viewer.window.add_dock_widget(dock, name="again")
    assert not dock.prompt_panel.hover_button.isChecked() and not dock.hover.enabled
    assert dock.prompt_panel.overlap_box.currentData() == "overwrite"
    assert dock.train_panel.preset.currentText() == "thorough"
    assert dock.batch_panel.extras == ("overlays",)
    dock.close_down()


def test_the_page_of_keys_lists_every_key() -> None:
    page = (ROOT / "docs" / "annotating.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] + line.split("|")[2] for line in page.splitlines() if line.startswith("| ")]
    listed = set(re.findall(r"Page Up|Page Down|[A-Z][a-z]+|[A-Z]|[.,]", " ".join(rows)))
    names = {"Escape": "Esc", "PageUp": "Page Up", "PageDown": "Page Down"}
    last = [key.split("+")[-1] for action in ACTIONS for key in action.keys]
    assert not [key for key in last if names.get(key, key) not in listed]
