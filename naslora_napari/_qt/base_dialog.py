"""The base models in a table: those of the registry, and a person's own checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from naslora_resources.registry import ModelEntry

from .widgets import Bar, button, wrapped

COLUMNS = ("Id", "Model", "Knows", "Licence", "State")
WORDS = {"point": "clicks", "box": "boxes", "multimask": "three masks of a click"}
PIXELS = {"sam": "as segment-anything does", "unit": "0 to 1, as MedSAM does"}
FILTER = "Checkpoints (*.pth *.pt *.safetensors)"


class BaseDialog(QDialog):
    """Base models: use one, add a file, take one out. What is asked for is a signal: no file is touched here."""

    use_asked = Signal(str)
    add_asked = Signal(object, str, tuple, str)
    remove_asked = Signal(str)
    stopped = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Base model")
        self._entries: dict[str, ModelEntry] = {}
        self._here: Mapping[str, bool] = {}
        self._in_use = ""
        self.table = QTableWidget(0, len(COLUMNS))
        self.bar = Bar()
        self.use_button = button(
            "Use", lambda: self.use_asked.emit(self.selected()), "Let this model answer from now on"
        )
        self.add_button = button("Add a file…", self._add, "Work with a checkpoint of your own")
        self.remove_button = button("Remove", lambda: self.remove_asked.emit(self.selected()))
        self.remove_button.setToolTip("Take your own model out of this list; its file stays")
        self.stop_button = button("Stop the download", self.stopped.emit, "Nothing is left of it")
        self._lay_out()
        self.show_doing("")
        self.resize(940, 340)

    def show_models(self, entries: Mapping[str, ModelEntry], here: Mapping[str, bool], in_use: str) -> None:
        """Show base models.

        Parameters
        ----------
        entries : mapping
            By id.
        here : mapping
            By id, whether the weights are on this computer.
        in_use : str
            Id of the one that answers.
        """
        chosen = self.selected() or in_use
        self._entries, self._here, self._in_use = dict(entries), here, in_use
        self.table.setRowCount(len(entries))
        for row, entry in enumerate(entries.values()):
            knows = ", ".join(WORDS[kind] for kind in entry.prompts if kind != "multimask")
            for column, text in enumerate((entry.id, entry.title, knows, entry.licence, self._state(entry))):
                cell = QTableWidgetItem(text)
                cell.setToolTip(entry.file or entry.citation)
                self.table.setItem(row, column, cell)
            if entry.id == chosen:
                self.table.selectRow(row)
        self._on_selection()

    def selected(self) -> str:
        """Return the id of the selected model; empty: none."""
        rows = self.table.selectionModel().selectedRows()
        return list(self._entries)[rows[0].row()] if rows else ""

    def show_doing(self, text: str, done: int = 0, of: int = 0) -> None:
        """Show what is being done, and how much of it; empty: nothing."""
        self.doing.setText(text)
        for widget in (self.bar, self.doing):
            widget.setVisible(bool(text))
        self.stop_button.setVisible(of > 0)
        if of:
            self.bar.show_part(done >> 20, max(1, of >> 20))  # in MB: Qt counts to 2^31
        elif text:
            self.bar.wait()
        else:
            self.bar.show_part(0, 1)
        self._on_selection()

    def _state(self, entry: ModelEntry) -> str:
        if entry.id == self._in_use:
            return "in use"
        size = f"{entry.size_bytes / 2**20:.0f} MB"
        return ("your file" if entry.source == "file" else "ready") if self._here[entry.id] else f"to download, {size}"

    def _lay_out(self) -> None:
        table = self.table
        table.setHorizontalHeaderLabels(list(COLUMNS))
        table.verticalHeader().hide()
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setTabKeyNavigation(False)
        table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        table.setWordWrap(False)
        table.itemSelectionChanged.connect(self._on_selection)
        table.setAccessibleName("Base models")
        self.doing = QLabel()
        row = QHBoxLayout()
        row.addWidget(self.use_button)
        row.addWidget(self.remove_button)
        row.addStretch(1)
        row.addWidget(self.add_button)
        for pressed in (self.use_button, self.remove_button, self.add_button, self.stop_button):
            pressed.setAutoDefault(False)
        waiting = QHBoxLayout()
        waiting.addWidget(self.doing)
        waiting.addWidget(self.bar, 1)
        waiting.addWidget(self.stop_button)
        whole = QVBoxLayout(self)
        whole.addWidget(table)
        whole.addLayout(row)
        whole.addLayout(waiting)
        whole.addWidget(
            wrapped(
                "Labels stay as they are. An adapter answers with the base model that it was trained on. Without a "
                "graphics card the larger models take 10 s and more for an image."
            )
        )

    def _on_selection(self) -> None:
        entry = self._entries.get(self.selected())
        free = entry is not None and entry.id != self._in_use and not self.doing.text()
        self.use_button.setEnabled(free)
        self.use_button.rename("Use" if entry is None or self._here[entry.id] else "Download and use")
        self.remove_button.setEnabled(free and entry is not None and entry.source == "file")
        self.add_button.setEnabled(not self.doing.text())

    def _add(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "A checkpoint of your own", "", FILTER)
        if path:
            asked = AddedModelDialog(Path(path), self)
            asked.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            asked.accepted.connect(lambda: self.add_asked.emit(*asked.chosen))
            asked.open()


class AddedModelDialog(QDialog):
    """Asks what no checkpoint says of itself: its name, what it was trained on, and how pixels are given to it."""

    def __init__(self, path: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(path.name)
        self._path = path
        self.name = QLineEdit()
        self.name.setPlaceholderText("as the file")
        self.name.setToolTip("Lower-case letters, digits, - and _")
        self.prompts = {kind: QCheckBox(text) for kind, text in WORDS.items()}
        for kind, box in self.prompts.items():
            box.setChecked(kind != "multimask")
            box.setToolTip("Ticked: it was trained on them. A click on a model of boxes is asked as boxes.")
        self.pixels = QComboBox()
        for key, text in PIXELS.items():
            self.pixels.addItem(text, key)
        self.pixels.setToolTip("How the model was trained to see pixels; with the wrong choice it answers badly")
        form = QFormLayout(self)
        form.addRow("Name", self.name)
        for number, box in enumerate(self.prompts.values()):
            form.addRow("It knows" if number == 0 else "", box)
        form.addRow("Pixels", self.pixels)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form.addRow(buttons)

    @property
    def chosen(self) -> tuple[Path, str, tuple[str, ...], str]:
        """The file, its name (empty: as the file), what it was trained on, and how pixels are given to it."""
        prompts = tuple(kind for kind, box in self.prompts.items() if box.isChecked())
        return self._path, self.name.text().strip(), prompts, self.pixels.currentData()
