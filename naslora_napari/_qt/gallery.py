"""The gallery of a segmented folder: its images, the most doubtful first, and what passes."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QItemSelectionModel, Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QListView,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from ..batch.doubt import Quantity
from ..batch.review import Kind, Review
from .distribution import Distribution
from .gallery_model import HEIGHT, IMAGE, WIDTH, GalleryDelegate, GalleryModel
from .image_model import Index
from .widgets import Button, button, counted

KINDS: dict[Kind, str] = {"all": "All", "failing": "Failing", "new": "Not looked at"}
ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class Tiles(QListView):
    """Tiles in rows. Enter opens one; with Shift the open image is accepted first. Escape leaves them."""

    opened = Signal(int)
    accepted = Signal()
    left = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setMovement(QListView.Movement.Static)
        self.setUniformItemSizes(True)
        self.setLayoutMode(QListView.LayoutMode.Batched)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setItemDelegate(GalleryDelegate(self))
        self.setMinimumSize(WIDTH + 24, HEIGHT + 6)
        self.setAccessibleName("Segmented images, the most doubtful first")
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the keys with the canvas
        self.clicked.connect(self._click)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Open the current image with Enter, move to others with the arrows."""
        if event.key() in ENTER and event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.accepted.emit()
        elif event.key() in (*ENTER, Qt.Key.Key_Space) and self.currentIndex().isValid():
            self.opened.emit(self.currentIndex().data(IMAGE))
        elif event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        else:
            super().keyPressEvent(event)

    def _click(self, index: Index) -> None:
        self.left.emit()  # so that the keys of the canvas work at once
        self.opened.emit(index.data(IMAGE))


class Gallery(QWidget):
    """Filter, tiles, and the distributions beside them. What is asked for is a signal: nothing is read here."""

    opened = Signal(int)
    #: The limits are others; whether the hand has let go.
    limited = Signal(bool)
    folder_asked = Signal()

    def __init__(self, accept_button: Button) -> None:
        super().__init__()
        self.setObjectName("Review")
        self.kind = QComboBox()
        self.kind.setToolTip("Which images are shown")
        for kind, text in KINDS.items():
            self.kind.addItem(text, kind)
        self.kind.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.told = QLabel()
        self.told.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.folder_button = button("…", self.folder_asked.emit, "Look through the results in another folder")
        self.folder_button.setFixedWidth(34)
        self.tiles = Tiles()
        self.model = GalleryModel(self)
        self.tiles.setModel(self.model)
        self.distribution = Distribution()
        self.distribution.setFixedWidth(300)
        top = QHBoxLayout()
        for widget in (self.kind, self.told, self.folder_button, accept_button):
            top.addWidget(widget, widget is self.told)
        right = QVBoxLayout()
        right.setSpacing(4)
        right.addLayout(top)
        right.addWidget(self.tiles, 1)
        whole = QHBoxLayout(self)
        whole.setContentsMargins(6, 4, 6, 4)
        whole.addWidget(self.distribution)
        whole.addLayout(right, 1)
        self.kind.activated.connect(lambda _: self.refresh(anew=True))
        self.tiles.opened.connect(self.opened)
        self.tiles.accepted.connect(accept_button.click)
        self.distribution.limited.connect(self._limit)

    @property
    def current(self) -> int:
        """The number of the image that is chosen; -1 if there is none."""
        index = self.tiles.currentIndex()
        return int(index.data(IMAGE)) if index.isValid() else -1

    def use(self, review: Review, project: str) -> None:
        """Show a run as it is looked at in a project."""
        self.model.use(review, project)
        self.distribution.use(review)
        self.refresh(anew=True)
        self.choose(next(iter(self.model.images), -1))

    def refresh(self, anew: bool = False) -> None:
        """Show what is true now; ``anew``: and only what fits the filter, which else stays until it is chosen again."""
        review = self.model.review
        if review is None:
            return
        kind: Kind = self.kind.currentData()
        current = self.current
        chosen = review.chosen(kind, self.model.project) if anew or kind != "new" else self.model.images
        self.model.show_images(chosen)
        self.choose(current)
        failing = int(review.failing_images.sum())
        objects, bad = len(review.failing), int(review.failing.sum())
        self.told.setText(
            f"{failing:,} of {counted(len(review.order), 'image')}, {bad:,} of {counted(objects, 'object')} fail"
        )
        self.told.setToolTip("\n".join(filter(None, (self.told.text(), self._left_out(review)))))

    def choose(self, image: int) -> None:
        """Make an image the current one, if it is shown; that opens nothing."""
        index = self.model.index_of(image)
        if index.isValid():
            select = QItemSelectionModel.SelectionFlag.ClearAndSelect
            self.tiles.selectionModel().setCurrentIndex(index, select)
            self.tiles.scrollTo(index)

    def next_after(self, image: int) -> int:
        """Return the image after another one that is not accepted yet, around the end; -1 if there is none."""
        images = list(self.model.images)
        start = images.index(image) + 1 if image in images else 0
        around = [*images[start:], *images[:start]]
        return next((other for other in around if other != image and self.model.state(other) != "accepted"), -1)

    def changeEvent(self, event: Any) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange) and hasattr(self, "distribution"):
            self.distribution.follow_theme(self.palette())

    def _limit(self, quantity: Quantity, low: float, high: float, done: bool) -> None:
        """Hold the images against other limits, and show at once those that fail."""
        review = self.model.review
        if review is None:
            return
        review.limit(review.limits.but(quantity, low, high))
        if self.kind.currentData() == "all" and review.failing_images.any():
            self.kind.setCurrentIndex(self.kind.findData("failing"))
        self.distribution.show_limits()
        self.refresh()
        self.limited.emit(done)

    def _left_out(self, review: Review) -> str:
        failed = review.run.failed
        first = [f"{name}: {why}" for name, why in list(failed.items())[:5]]
        return "\n".join([f"{counted(len(failed), 'image')} could not be segmented.", *first]) if failed else ""
