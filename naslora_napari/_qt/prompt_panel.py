"""Say what the object is, see the mask, accept it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QComboBox, QGridLayout, QHBoxLayout, QInputDialog, QLabel

from ..store.records import ClassInfo
from .widgets import Button, Panel, button, named, wrapped

MODES = {
    "click": ("Click", "Left: on the object. Right, or Shift + left: background."),
    "box": ("Box", "Drag a box around the object"),
    "scribble": ("Scribble", "Draw along the object. With Shift: along the background."),
    "lasso": ("Lasso", "Draw a line around the object"),
    "brush": ("Brush", "Paint or erase on the accepted objects"),
}
HINTS = {
    "click": "Left click: object. Right click: background.",
    "box": "Drag from one corner of the object to the other.",
    "scribble": "Draw along the object; with Shift along the background.",
    "lasso": "Hold the button and draw once around the object; clicks then correct the mask.",
    "brush": "Paint on the objects; a stroke on background makes a new one. E erases.",
    "area": "Drag around a part in which every object is labelled. Click into an area to remove it.",
}
OVERLAPS = {
    "keep": "New objects stay off accepted ones",
    "overwrite": "New objects overwrite accepted ones",
    "background": "Masks and brush stay off accepted ones",
}
#: What has no button, by the name of its action.
ON_OBJECTS = {
    "reopen": "reopens it",
    "delete": "deletes it",
    "give_class": "gives it the class above",
    "review": "doubts it",
    "split": "splits it",
    "merge": "merges it with the next",
    "follow": "follows it through a stack",
}
ADD_CLASS = "New class…"
HOVER = "Show faintly what a click under the resting mouse would give; never while the model is slow or busy"
#: Buttons in a row.
COLUMNS = 3


class PromptPanel(Panel):
    """Mode of the mouse, class, and what to do with the mask."""

    mode_chosen = Signal(str)
    accepted = Signal()
    discarded = Signal()
    undone = Signal()
    redone = Signal()
    next_asked = Signal()
    tidied = Signal()
    class_chosen = Signal(int)
    class_added = Signal(str)
    overlap_chosen = Signal(str)
    hover_chosen = Signal(bool)

    def __init__(self) -> None:
        super().__init__("2  Prompt and correct")
        self.mode_buttons: dict[str, Button] = {}
        self._group = QButtonGroup(self)
        grid = QGridLayout()
        for place, (mode, (text, tooltip)) in enumerate(MODES.items()):
            made = button(text, partial(self.mode_chosen.emit, mode), tooltip, checkable=True)
            grid.addWidget(made, *divmod(place, COLUMNS))
            self.add_mode(mode, made)
        self.mode_buttons["click"].setChecked(True)
        self.hover_button = button("Preview", self._on_hover, HOVER, checkable=True)
        self.hover_button.setChecked(True)
        grid.addWidget(self.hover_button, *divmod(len(MODES), COLUMNS))
        self.rows.addLayout(grid)
        self.hint = wrapped(HINTS["click"])
        self.add(self.hint)
        self.class_box = QComboBox()
        named(self.class_box, "Class of the next object")
        self.class_box.activated.connect(self._on_class)
        row = QHBoxLayout()
        row.addWidget(QLabel("Class"))
        row.addWidget(self.class_box, 1)
        self.rows.addLayout(row)
        self.overlap_box = QComboBox()
        named(self.overlap_box, "What happens where a new object meets accepted ones")
        for overlap, text in OVERLAPS.items():
            self.overlap_box.addItem(text, overlap)
        self.overlap_box.activated.connect(lambda _: self.overlap_chosen.emit(self.overlap_box.currentData()))
        self.add(self.overlap_box)
        self.accept_button = button("Accept", self.accepted.emit, "Save the mask as an object")
        self.discard_button = button("Discard", self.discarded.emit, "Forget prompts and mask")
        self.tidy_button = button("Tidy", self.tidied.emit, "Take out specks, holes and ragged edges")
        self.next_button = button("Next mask", self.next_asked.emit, "Show another mask that fits the same prompts")
        self.undo_button = button("Undo", self.undone.emit, "Take back the last step, on any image")
        self.redo_button = button("Redo", self.redone.emit, "Do again what was taken back")
        for widgets in (
            (self.accept_button, self.tidy_button, self.discard_button),
            (self.next_button, self.undo_button, self.redo_button),
        ):
            row = QHBoxLayout()
            for widget in widgets:
                row.addWidget(widget)
            self.rows.addLayout(row)
        self.over_object = wrapped()
        self.add(self.over_object)
        self._chosen = 0

    def add_mode(self, mode: str, made: Button) -> None:
        """Let a checkable button, which may be on another panel, choose a mode of the mouse."""
        self._group.addButton(made)
        self.mode_buttons[mode] = made

    def show_classes(self, classes: Sequence[ClassInfo], current: int) -> None:
        """Fill the class list."""
        self.class_box.clear()
        for info in classes:
            self.class_box.addItem(info.name, info.id)
        if classes:
            self.class_box.addItem(ADD_CLASS)
        self._chosen = max(0, self.class_box.findData(current))
        self.class_box.setCurrentIndex(self._chosen)

    def show_state(self, has_prompt: bool, candidates: int, can_undo: bool, can_redo: bool) -> None:
        """Enable what makes sense now; ``candidates``: how many masks the answer has, 0 without an answer."""
        self.accept_button.setEnabled(candidates > 0)
        self.tidy_button.setEnabled(candidates > 0)
        self.next_button.setEnabled(candidates > 1)
        self.redo_button.setEnabled(can_redo)
        self.discard_button.setEnabled(has_prompt)
        self.undo_button.setEnabled(can_undo)

    def show_keys(self, keys: Mapping[str, str]) -> None:
        """Tell the keys of what has no button; ``keys`` are those of all actions, by name."""
        told = [f"{keys[name]} {what}" for name, what in ON_OBJECTS.items() if keys[name]]
        self.over_object.setText(f"With the mouse over an object: {', '.join(told)}." if told else "")

    def check_mode(self, mode: str) -> None:
        """Show which mode is on."""
        if mode in self.mode_buttons:
            self.mode_buttons[mode].setChecked(True)
            self.hint.setText(HINTS[mode])

    def _on_hover(self) -> None:
        self.hover_chosen.emit(self.hover_button.isChecked())

    def _on_class(self, index: int) -> None:
        if self.class_box.itemData(index) is not None:
            self._chosen = index
            self.class_chosen.emit(int(self.class_box.itemData(index)))
            return
        name, given = QInputDialog.getText(self, "New class", "Name of the class:")
        self.class_box.setCurrentIndex(self._chosen)
        if given and name.strip():
            self.class_added.emit(name.strip())
