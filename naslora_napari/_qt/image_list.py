"""The list of images with its search, its filter and its menu."""

from __future__ import annotations

from qtpy.QtCore import QItemSelectionModel, QPoint, Qt, QTimer, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QComboBox, QHBoxLayout, QLineEdit, QListView, QMenu, QVBoxLayout, QWidget

from ..store import Project
from ..store.listing import ImageFilter
from .image_model import ROW, ImageDelegate, ImageModel
from .widgets import named

KINDS = {
    "": "All",
    "unfinished": "Unfinished",
    "untouched": "Untouched",
    "in progress": "In progress",
    "complete": "Complete",
    "skipped": "Skipped",
    "waiting": "To review",
    "doubtful": "With doubtful objects",
    "noted": "With a note",
}
#: The list shows so many rows.
ROWS = 5
#: The list follows the search field when nothing was typed for so long, in ms.
TYPED_MS = 150


class SearchField(QLineEdit):
    """A line to type in, whose keys never reach the window: Enter there would accept a mask."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Take every key."""
        super().keyPressEvent(event)
        event.accept()


class ImageList(QWidget):
    """Search field, filter and list.

    Parameters
    ----------
    parent : QWidget or None
        Owner.
    """

    chosen = Signal(str)
    #: An image is to be marked: its name, and ``complete`` or ``skipped``, to be turned on or off.
    marked = Signal(str, str)
    #: The note of an image is to be written.
    note_asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.search = SearchField()
        named(self.search, "Search", "Show only images with these words in their names, folders or notes")
        self.search.setPlaceholderText("Search names, folders, notes")
        self.search.setClearButtonEnabled(True)
        self.kind = QComboBox()
        named(self.kind, "Which images are listed")
        self.kind.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.kind.setMinimumContentsLength(9)
        for kind, text in KINDS.items():
            self.kind.addItem(text, kind)
        self.model = ImageModel(self)
        self.view = QListView()
        named(
            self.view, "Images of the project", "Click, or Up and Down: open an image. Right click: its marks and note"
        )
        self.view.setModel(self.model)
        self.view.setItemDelegate(ImageDelegate(self.view))
        self.view.setUniformItemSizes(True)
        self.view.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the keys with the canvas
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setFixedHeight(ROWS * ROW + 2 * self.view.frameWidth())
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self._current = ""
        row = QHBoxLayout()
        row.addWidget(self.search, 1)
        row.addWidget(self.kind)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        rows.addLayout(row)
        rows.addWidget(self.view)
        self._typed = QTimer(self, singleShot=True, interval=TYPED_MS)
        self._typed.timeout.connect(self._filter)
        self.search.textChanged.connect(lambda _: self._typed.start())
        self.search.returnPressed.connect(self._choose_first)
        self.kind.activated.connect(lambda _: self._filter())
        self.view.selectionModel().currentChanged.connect(lambda index, _: self._choose(self.model.name_at(index)))
        self.view.customContextMenuRequested.connect(self._show_menu)

    @property
    def current(self) -> str:
        """The image that is open."""
        return self._current

    def use(self, project: Project) -> None:
        """List the images of a project."""
        self._current = ""
        self.model.use(project)

    def show_current(self, name: str) -> None:
        """Show which image is open; that is no choice of the person."""
        self._current = name
        index = self.model.index_of(name)
        selection = self.view.selectionModel()
        selection.setCurrentIndex(index, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        if index.isValid():
            self.view.scrollTo(index)

    def refresh(self, names: list[str]) -> None:
        """Show anew what is told of images."""
        self.model.refresh(names)
        if not self.view.currentIndex().isValid():
            self.show_current(self._current)

    def menu(self, name: str) -> QMenu:
        """Return the menu of an image."""
        status = self.model.index_of(name).data(Qt.ItemDataRole.UserRole)
        menu = QMenu(self)
        for mark, text in (("complete", "Complete: every object is labelled"), ("skipped", "Skip")):
            action = menu.addAction(text)
            action.setCheckable(True)
            action.setChecked(getattr(status.marks, mark))
            action.triggered.connect(lambda _=False, mark=mark: self.marked.emit(name, mark))
        menu.addAction("Note…").triggered.connect(lambda _=False: self.note_asked.emit(name))
        return menu

    def _choose(self, name: str) -> None:
        if name and name != self._current:
            self._current = name
            self.chosen.emit(name)

    def _choose_first(self) -> None:
        self._filter()
        self.view.setCurrentIndex(self.model.index(0, 0))

    def _filter(self) -> None:
        self._typed.stop()
        self.model.filter(ImageFilter(self.search.text(), self.kind.currentData()))
        self.show_current(self._current)

    def _show_menu(self, place: QPoint) -> None:
        name = self.model.name_at(self.view.indexAt(place))
        if name:
            self.menu(name).popup(self.view.viewport().mapToGlobal(place))
