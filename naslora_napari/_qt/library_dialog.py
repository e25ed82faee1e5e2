"""The models of a project in a table, and what can be done with them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QScrollArea,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ..store.adapter_entries import AdapterEntry, compared
from ..store.adapters import SUFFIX
from ..store.names import safe_name
from .widgets import button, named, wrapped

COLUMNS = ("Trained", "Name", "Click", "Box", "State", "Learned from", "Note")
NAME, NOTE = COLUMNS.index("Name"), COLUMNS.index("Note")
TIPS = {
    "Click": "Dice on held-out objects after one click, from 0 to 1; each training judges on objects of its own",
    "Box": "Dice on held-out objects for one box",
    "State": "better: than the one that was in use when it was trained; kept aside: not better",
}
FILTER = f"Adapters (*{SUFFIX})"
#: Key of the base model in signals.
BASE = ""


class LibraryDialog(QDialog):
    """The base model and the adapters of a project: use, rename, note, compare, hand on, take over, delete.

    Adapters are named by their key, the base model by :data:`BASE`. Names and notes are edited in the table; a file
    that is dropped here is imported. What is asked for is a signal: nothing is read or written here.
    """

    use_asked = Signal(str)
    base_asked = Signal()
    renamed = Signal(str, str)
    noted = Signal(str, str)
    export_asked = Signal(str, object)
    import_asked = Signal(object)
    delete_asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Models of this project")
        self.setAcceptDrops(True)
        self._entries: list[AdapterEntry] = []
        self._in_use = BASE
        self.table = QTableWidget(0, len(COLUMNS))
        self.details = QLabel()
        self._buttons()
        self._lay_out()
        self.resize(880, 520)

    def show_entries(self, base: str, entries: Sequence[AdapterEntry], in_use: str) -> None:
        """Show the base model and adapters, the newest first.

        Parameters
        ----------
        base : str
            Id of the base model.
        entries : sequence of AdapterEntry
            The adapters.
        in_use : str
            Key of the one that answers.
        """
        chosen = self.selected()
        self._entries, self._in_use = list(entries), in_use
        self.table.blockSignals(True)
        self.table.setRowCount(1 + len(entries))
        self._fill(0, ("", base, "", "", "in use" if in_use == BASE else "base model", "", ""), "The base model")
        for row, entry in enumerate(entries, 1):
            click, box = (f"{pair[1]:.3f}" if (pair := entry.validation.get(kind)) else "" for kind in ("click", "box"))
            trained = f"{entry.created.astimezone():%Y-%m-%d %H:%M}"
            state = "in use" if entry.key == in_use else entry.state
            texts = (trained, entry.name, click, box, state, entry.data, entry.note)
            self._fill(row, texts, entry.problem or entry.reason, editable=(NAME, NOTE))
        self.table.blockSignals(False)
        self.select([key for key in chosen if key in self._keys()] or [in_use])

    def selected(self) -> list[str]:
        """Return the keys of the selected models, in the order of the table."""
        rows = sorted({index.row() for index in self.table.selectionModel().selectedRows()})
        keys = self._keys()
        return [keys[row] for row in rows if row < len(keys)]

    def select(self, keys: Sequence[str]) -> None:
        """Select models."""
        self.table.clearSelection()
        many, single = QAbstractItemView.SelectionMode.MultiSelection, self.table.selectionMode()
        self.table.setSelectionMode(many)
        for row, key in enumerate(self._keys()):
            if key in keys:
                self.table.selectRow(row)
        self.table.setSelectionMode(single)
        self._on_selection()

    def edit(self, column: int) -> None:
        """Let the person type the name or the note of the selected adapter."""
        row = self._keys().index(self.selected()[0])
        self.table.setCurrentCell(row, column)
        self.table.edit(self.table.currentIndex())

    def dragEnterEvent(self, event: Any) -> None:
        """Accept an adapter file."""
        if _dropped(event):
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Import the files that were dropped."""
        for path in _dropped(event):
            self.import_asked.emit(path)
        event.acceptProposedAction()

    def _buttons(self) -> None:
        self.use_button = button("Use", self._use, "Let this model answer; the one before stays in the list")
        self.rename_button = button("Rename", lambda: self.edit(NAME), "Give it another name")
        self.note_button = button("Note", lambda: self.edit(NOTE), "Write something about it")
        self.base_button = button("Base model…", self.base_asked.emit, "Work with another SAM, or one of your own")
        self.export_button = button("Export…", self._export, "Save it as one file for somebody else")
        self.import_button = button("Import…", self._import, "Take over a file; you can drop it here as well")
        self.delete_button = button("Delete", lambda: self.delete_asked.emit(self.selected()[0]))
        self.delete_button.setToolTip("Move it to adapters/deleted, from where it can be imported again")

    def _lay_out(self) -> None:
        table = self.table
        for column, title in enumerate(COLUMNS):
            header = QTableWidgetItem(title)
            header.setToolTip(TIPS.get(title, ""))
            table.setHorizontalHeaderItem(column, header)
        table.verticalHeader().hide()
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        table.horizontalHeader().setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        table.horizontalHeader().setSectionResizeMode(NOTE, QHeaderView.ResizeMode.Stretch)
        table.setWordWrap(False)
        table.itemSelectionChanged.connect(self._on_selection)
        table.itemChanged.connect(self._on_edit)
        named(table, "Models of this project", "Select several to compare them; Enter or F2 edits a name or a note")
        self.details.setTextFormat(Qt.TextFormat.RichText)
        self.details.setWordWrap(True)
        self.details.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.details.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        scroll = QScrollArea()
        scroll.setWidget(self.details)
        scroll.setWidgetResizable(True)
        row = QHBoxLayout()
        left = (self.use_button, self.rename_button, self.note_button, self.delete_button)
        right = (self.base_button, self.export_button, self.import_button)
        for pressed in left:
            row.addWidget(pressed)
        row.addStretch(1)
        for pressed in right:
            row.addWidget(pressed)
        for pressed in (*left, *right):
            pressed.setAutoDefault(False)  # Enter ends the editing of a name
        whole = QVBoxLayout(self)
        whole.addWidget(table, 3)
        whole.addLayout(row)
        whole.addWidget(wrapped("Select several to compare them. Labels stay as they are, whichever model is in use."))
        whole.addWidget(scroll, 2)

    def _keys(self) -> list[str]:
        return [BASE, *(entry.key for entry in self._entries)]

    def _fill(self, row: int, texts: Sequence[str], tip: str, editable: Sequence[int] = ()) -> None:
        shown = Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled
        for column, text in enumerate(texts):
            cell = QTableWidgetItem(text)
            cell.setFlags(shown | Qt.ItemFlag.ItemIsEditable if column in editable else shown)
            cell.setToolTip(escape(text if column in editable and text else tip))
            self.table.setItem(row, column, cell)

    def _on_selection(self) -> None:
        keys = self.selected()
        chosen = [entry for entry in self._entries if entry.key in keys]
        one = chosen[0] if len(keys) == 1 and chosen else None
        free = len(keys) == 1 and keys[0] != self._in_use
        self.use_button.setEnabled(free and (one is None or not one.problem))
        for widget in (self.rename_button, self.note_button, self.export_button):
            widget.setEnabled(one is not None)
        self.delete_button.setEnabled(free and one is not None)
        self.details.setText(_table(compared(chosen)) if chosen else "")

    def _on_edit(self, cell: QTableWidgetItem) -> None:
        key = self._keys()[cell.row()]
        if key != BASE and cell.column() in (NAME, NOTE):
            (self.renamed if cell.column() == NAME else self.noted).emit(key, cell.text())

    def _use(self) -> None:
        self.use_asked.emit(self.selected()[0])

    def _export(self) -> None:
        entry = next(entry for entry in self._entries if entry.key == self.selected()[0])
        path, _ = QFileDialog.getSaveFileName(self, "Save the adapter", f"{safe_name(entry.name)}{SUFFIX}", FILTER)
        if path:
            self.export_asked.emit(entry.key, Path(path))

    def _import(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Take over an adapter", "", FILTER)
        if path:
            self.import_asked.emit(Path(path))


def _dropped(event: Any) -> list[Path]:
    """Return the adapter files of a drag."""
    paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
    return [path for path in paths if path.suffix == SUFFIX]


def _table(rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Return a table in Qt's rich text; what stands in files is shown as it is."""
    cells = ((f"<b>{escape(title)}</b>", *map(escape, values)) for title, values in rows)
    lines = ("".join(f"<td>{cell}&nbsp;&nbsp;&nbsp;</td>" for cell in line) for line in cells)
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
