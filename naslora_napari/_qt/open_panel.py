"""Open an image, a folder or a project; go through its images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout

from naslora_trainer.images import IMAGE_SUFFIXES

from ..store import ProjectSummary
from .widgets import Panel, button, counted, wrapped


class OpenPanel(Panel):
    """Buttons to open something, and the list of images."""

    image_asked = Signal(object)
    folder_asked = Signal(object)
    project_asked = Signal(object)
    image_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__("1  Open")
        self.image_button = button("Image…", self._ask_image, "Open one image")
        self.folder_button = button("Folder…", self._ask_folder, "Open all images of a folder")
        self.project_button = button("Project…", self._ask_project, "Open a folder NAME.naslora")
        row = QHBoxLayout()
        for widget in (self.image_button, self.folder_button, self.project_button):
            row.addWidget(widget)
        self.rows.addLayout(row)
        self.previous_button = button("◀", lambda: self.step(-1), "Previous image")
        self.next_button = button("▶", lambda: self.step(1), "Next image")
        for arrow in (self.previous_button, self.next_button):
            arrow.setFixedWidth(30)
        self.images = QComboBox()
        self.images.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.images.setMinimumContentsLength(12)
        self.images.setToolTip("Images of the project")
        self.images.activated.connect(lambda index: self.image_chosen.emit(self.images.itemText(index)))
        row = QHBoxLayout()
        row.addWidget(self.previous_button)
        row.addWidget(self.images, 1)
        row.addWidget(self.next_button)
        self.rows.addLayout(row)
        self.summary = wrapped()
        self.add(self.summary)
        self.summary.setText("Nothing is open yet.")
        self.show_images([], "")

    def show_images(self, names: Sequence[str], current: str) -> None:
        """Fill the list."""
        self.images.clear()
        self.images.addItems(list(names))
        self.images.setCurrentText(current)
        for widget in (self.images, self.previous_button, self.next_button):
            widget.setEnabled(len(names) > 0)

    def show_summary(self, summary: ProjectSummary) -> None:
        """Show how much is labelled."""
        self.summary.setText(
            f"{counted(summary.objects, 'object')} on {summary.annotated} of {counted(summary.images, 'image')}"
        )

    def step(self, by: int) -> None:
        """Go to the next or the previous image."""
        index = self.images.currentIndex() + by
        if 0 <= index < self.images.count():
            self.images.setCurrentIndex(index)
            self.image_chosen.emit(self.images.itemText(index))

    def _ask_image(self) -> None:
        kinds = " ".join(f"*{suffix}" for suffix in sorted(IMAGE_SUFFIXES))
        path, _ = QFileDialog.getOpenFileName(self, "Open an image", "", f"Images ({kinds})")
        if path:
            self.image_asked.emit(Path(path))

    def _ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a folder of images")
        if path:
            self.folder_asked.emit(Path(path))

    def _ask_project(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a project (a folder NAME.naslora)")
        if path:
            self.project_asked.emit(Path(path))
