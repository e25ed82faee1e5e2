"""The images of a run as a Qt model, and how a tile of the gallery is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QAbstractListModel, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPalette, QPen, QPixmap
from qtpy.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from ..batch.review import Review
from ..store.records import State
from .colours import FAILS
from .image_model import NOWHERE, Index, draw_state
from .widgets import counted

#: Sides of a picture and of a tile, in pixels.
PICTURE = 112
WIDTH, HEIGHT = 132, PICTURE + 46
#: So many pictures are kept in memory; the oldest are asked for again.
MOST_PICTURES = 600
IMAGE = Qt.ItemDataRole.UserRole
SIGNS: dict[str, State] = {"opened": "in progress", "accepted": "complete"}


class GalleryModel(QAbstractListModel):
    """The images that are to be seen. A picture is asked for only when its tile is drawn.

    Parameters
    ----------
    parent : QWidget
        Owner.
    """

    #: The picture of an image, by its number in the run, is to be made.
    picture_wanted = Signal(int)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.review: Review | None = None
        self.project = ""
        self._images: list[int] = []
        self._rows: dict[int, int] = {}
        self._pictures: dict[str, QPixmap] = {}

    @property
    def images(self) -> Sequence[int]:
        """The numbers of the images that are shown."""
        return self._images

    def use(self, review: Review, project: str) -> None:
        """Show a run as it is looked at in a project; :meth:`show_images` says what of it."""
        self.review, self.project = review, project
        self._pictures.clear()

    def show_images(self, images: Sequence[int]) -> None:
        """Show these images, in this order."""
        if list(images) != self._images:
            self.beginResetModel()
            self._images = list(images)
            self._rows = {image: row for row, image in enumerate(images)}
            self.endResetModel()
        else:
            self.redraw()

    def redraw(self) -> None:
        """Show anew what is told of all images."""
        if self._images:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._images) - 1, 0))

    def set_picture(self, key: str, picture: QPixmap) -> None:
        """Show the picture of an image, whose key is its number as text."""
        self._pictures[key] = picture
        if len(self._pictures) > MOST_PICTURES:
            del self._pictures[next(iter(self._pictures))]
        index = self.index_of(int(key))
        if index.isValid():
            self.dataChanged.emit(index, index)

    def index_of(self, image: int) -> Any:
        """Return where an image is shown; an invalid index where it is not."""
        return self.index(self._rows[image], 0) if image in self._rows else NOWHERE

    def rowCount(self, parent: Index = NOWHERE) -> int:
        """Return how many images are shown."""
        return 0 if parent.isValid() else len(self._images)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what is drawn in a tile."""
        if not index.isValid() or self.review is None:
            return None
        image = self._images[index.row()]
        if role == IMAGE:
            return image
        if role == Qt.ItemDataRole.DisplayRole:
            return self.review.run.names[image]
        if role == Qt.ItemDataRole.DecorationRole:
            if str(image) not in self._pictures:
                self.picture_wanted.emit(image)
            return self._pictures.get(str(image))
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return self._told(image)
        return None

    def state(self, image: int) -> str:
        """Return what the person did with an image."""
        return "" if self.review is None else self.review.state(image, self.project)

    def short(self, image: int) -> str:
        """Return what stands below the name."""
        assert self.review is not None
        failing = self.review.failing_in(image)
        number = counted(int(self.review.run.counts[image]), "object")
        return f"{number}, {failing} fail" if failing else number

    def _told(self, image: int) -> str:
        assert self.review is not None
        seen = {"": "not looked at", "opened": "opened", "accepted": "accepted"}[self.state(image)]
        doubt = f"doubt {self.review.image_doubts[image]:.0%}"
        fails = "does not pass the limits" if self.review.failing_images[image] else "passes the limits"
        return f"{self.review.run.names[image]}\n{self.short(image)}, {doubt}, {fails}; {seen}"


class GalleryDelegate(QStyledItemDelegate):
    """Draws a tile: picture, name, what is told of the image, and its state as a sign."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        """Return the size of a tile."""
        return QSize(WIDTH, HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw a tile."""
        option = QStyleOptionViewItem(option)
        self.initStyleOption(option, index)
        model: Any = index.model()
        image, review = index.data(IMAGE), model.review
        palette, area = option.palette, option.rect.adjusted(2, 2, -2, -2)
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.save()
        if chosen:
            painter.fillRect(area, palette.color(QPalette.ColorRole.Highlight))
        text = palette.color(QPalette.ColorRole.HighlightedText if chosen else QPalette.ColorRole.Text)
        frame = QRectF(area.center().x() - PICTURE / 2, area.top() + 4, PICTURE, PICTURE)
        picture = index.data(Qt.ItemDataRole.DecorationRole)
        faint = QColor(text)
        faint.setAlphaF(0.15)
        if picture is None:
            painter.fillRect(frame, faint)
        else:
            size = picture.size().scaled(PICTURE, PICTURE, Qt.AspectRatioMode.KeepAspectRatio)
            left, top = frame.center().x() - size.width() / 2, frame.center().y() - size.height() / 2
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawPixmap(QRectF(left, top, size.width(), size.height()), picture, QRectF(picture.rect()))
        fails = bool(review.failing_images[image])
        if fails:
            painter.setPen(QPen(QColor(FAILS), 3))
            painter.drawRect(frame.adjusted(1, 1, -1, -1))
        if model.state(image) in SIGNS:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(0, 0, 0, 150))
            painter.drawEllipse(QRectF(frame.right() - 22, frame.top() + 3, 19, 19))
            sign = QRectF(frame.right() - 20, frame.top() + 5, 15, 15)
            draw_state(painter, sign, SIGNS[model.state(image)], text)
        words = area.adjusted(4, PICTURE + 6, -4, -2)
        metrics = option.fontMetrics
        painter.setPen(text)
        name = metrics.elidedText(index.data(), Qt.TextElideMode.ElideMiddle, words.width())
        painter.drawText(words, int(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignHCenter), name)
        told = metrics.elidedText(model.short(image), Qt.TextElideMode.ElideRight, words.width())
        painter.drawText(words, int(Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignHCenter), told)
        painter.restore()
