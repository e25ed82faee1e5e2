"""The images of a project as a Qt model, and how a row of it is drawn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPalette, QPen, QPixmap
from qtpy.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from ..store import Project
from ..store.listing import ImageFilter, status_text
from ..store.records import ImageEntry, ImageStatus, State
from ..store.thumbnails import SIDE
from .colours import BEGUN, DONE, QUIET, Themed

STATUS = Qt.ItemDataRole.UserRole
#: Heights of a row and of its picture, in pixels.
ROW, PICTURE = 44, 38
#: So many pictures are kept in memory; the oldest are asked for again.
MOST_PICTURES = 1000
#: The shapes tell the states apart without colour.
COLORS: dict[State, Themed] = {"untouched": QUIET, "in progress": BEGUN, "complete": DONE, "skipped": QUIET}
Index = QModelIndex | QPersistentModelIndex
NOWHERE = QModelIndex()


class ImageModel(QAbstractListModel):
    """The images that fit a filter. A picture is asked for only when its row is drawn.

    Parameters
    ----------
    parent : QWidget
        Owner.
    """

    picture_wanted = Signal(object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._project: Project | None = None
        self._entries: list[ImageEntry] = []
        self._rows: dict[str, int] = {}
        self._filter = ImageFilter()
        self._pictures: dict[str, QPixmap] = {}

    @property
    def names(self) -> list[str]:
        """The names of the images that are listed."""
        return [entry.name for entry in self._entries]

    @property
    def is_filtered(self) -> bool:
        """Whether some images may not be listed."""
        return self._filter != ImageFilter()

    def use(self, project: Project) -> None:
        """List the images of a project."""
        self._project = project
        self._pictures.clear()
        self._list()

    def filter(self, wanted: ImageFilter) -> None:
        """List the images that fit."""
        if wanted != self._filter:
            self._filter = wanted
            self._list()

    def refresh(self, names: Iterable[str]) -> None:
        """Show anew what is told of images; with a filter others may fit now."""
        if self._filter.kind:
            return self._list()
        for name in names:
            self._redraw(name)

    def set_picture(self, name: str, picture: QPixmap) -> None:
        """Show the picture of an image."""
        self._pictures[name] = picture
        if len(self._pictures) > MOST_PICTURES:
            del self._pictures[next(iter(self._pictures))]
        self._redraw(name)

    def name_at(self, index: Index) -> str:
        """Return the name of the image in a row."""
        return self._entries[index.row()].name if index.isValid() else ""

    def index_of(self, name: str) -> QModelIndex:
        """Return where an image is listed; an invalid index where it is not."""
        return self.index(self._rows[name], 0) if name in self._rows else QModelIndex()

    def rowCount(self, parent: Index = NOWHERE) -> int:
        """Return how many images are listed."""
        return 0 if parent.isValid() else len(self._entries)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what is drawn in a row."""
        if not index.isValid() or self._project is None:
            return None
        entry = self._entries[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return entry.name
        if role == STATUS:
            return self._project.status(entry.name)
        if role == Qt.ItemDataRole.ToolTipRole:
            status = self._project.status(entry.name)
            return "\n".join(part for part in (str(entry.path), status_text(status), status.marks.note) if part)
        if role == Qt.ItemDataRole.DecorationRole:
            if entry.name not in self._pictures:
                self.picture_wanted.emit(entry)
            return self._pictures.get(entry.name)
        return None

    def _list(self) -> None:
        self.beginResetModel()
        project = self._project
        images = [] if project is None else project.images
        if project is not None and self.is_filtered:
            images = [entry for entry in images if self._filter.fits(entry, project.status(entry.name))]
        self._entries = images
        self._rows = {entry.name: row for row, entry in enumerate(images)}
        self.endResetModel()

    def _redraw(self, name: str) -> None:
        index = self.index_of(name)
        if index.isValid():
            self.dataChanged.emit(index, index)


class ImageDelegate(QStyledItemDelegate):
    """Draws a row: picture, name, what is told of the image, and its state as a sign."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """Return the size of a row."""
        return QSize(SIDE, ROW)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw a row."""
        option = QStyleOptionViewItem(option)
        self.initStyleOption(option, index)
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        palette, area = option.palette, option.rect
        if chosen:
            painter.fillRect(area, palette.color(QPalette.ColorRole.Highlight))
        text = palette.color(QPalette.ColorRole.HighlightedText if chosen else QPalette.ColorRole.Text)
        painter.save()
        picture = index.data(Qt.ItemDataRole.DecorationRole)
        if picture is not None:
            shown = picture.size().scaled(PICTURE, PICTURE, Qt.AspectRatioMode.KeepAspectRatio)
            left = area.left() + 3 + (PICTURE - shown.width()) // 2
            top = area.top() + (area.height() - shown.height()) // 2
            painter.drawPixmap(left, top, shown.width(), shown.height(), picture)
        status: ImageStatus = index.data(STATUS)
        words = area.adjusted(PICTURE + 9, 3, -24, -3)
        metrics = option.fontMetrics
        top_line, bottom_line = Qt.AlignmentFlag.AlignTop, Qt.AlignmentFlag.AlignBottom
        painter.setPen(text)
        name = metrics.elidedText(index.data(), Qt.TextElideMode.ElideMiddle, words.width())
        painter.drawText(words, int(top_line), name)
        faint = QColor(text)
        faint.setAlphaF(0.75)
        painter.setPen(faint)
        told = status_text(status) + (" ✎" if status.marks.note else "")
        painter.drawText(words, int(bottom_line), metrics.elidedText(told, Qt.TextElideMode.ElideRight, words.width()))
        draw_state(painter, QRectF(area.right() - 21, area.center().y() - 7, 15, 15), status.state, text)
        painter.restore()


def draw_state(painter: QPainter, area: QRectF, state: State, ink: QColor) -> None:
    """Draw a state: an empty, half or full circle with a tick, or a circle that is crossed out."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    color = QColor(COLORS[state].beside(ink))
    painter.setPen(QPen(color, 2))
    painter.setBrush(color if state == "complete" else Qt.BrushStyle.NoBrush)
    painter.drawEllipse(area)
    if state == "in progress":
        painter.setBrush(color)
        painter.drawPie(area, 90 * 16, 180 * 16)
    elif state == "complete":
        painter.setPen(QPen(QColor("white"), 2))
        x, y, side = area.x(), area.y(), area.width()
        painter.drawPolyline([_at(x, y, side, *p) for p in ((0.25, 0.55), (0.43, 0.72), (0.75, 0.32))])
    elif state == "skipped":
        painter.setPen(QPen(ink, 2))
        painter.drawLine(area.bottomLeft(), area.topRight())


def _at(x: float, y: float, side: float, across: float, down: float) -> QPointF:
    return QPointF(x + side * across, y + side * down)
