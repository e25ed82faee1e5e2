"""Open an image, a folder or a project; go through its images, and say how far they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QFileDialog, QLabel, QMenu, QSizePolicy

from naslora_trainer.images import IMAGE_SUFFIXES

from ..store import Project, ProjectSummary
from ..store.listing import progress_details, progress_text
from ..store.records import ImageStatus
from .channel_choice import ChannelChoice
from .image_list import ImageList
from .widgets import Panel, button, counted, wrapped

LAYER = "Annotate the image that is selected in napari's layer list, whatever opened it"
COMPLETE = "Every object of this image is labelled: what has no label is background"
SKIP = "This image is not to be labelled"
SUGGEST = "Suggest next: open the image whose labels would help the model most"
SAMPLE = "Eight small images of nuclei, six of them labelled, as a project in a folder that you choose"
SAMPLE_TEXT = "Open the sample project…"
AREA = "Draw areas of this image in which every object is labelled; a click into one removes it"


class OpenPanel(Panel):
    """Buttons to open something, the images with their states, and how far the work is."""

    image_asked = Signal(object)
    folder_asked = Signal(object)
    project_asked = Signal(object)
    layer_asked = Signal()
    image_chosen = Signal(str)
    unfinished_asked = Signal()
    suggest_asked = Signal()
    area_asked = Signal()
    sample_asked = Signal()
    report_asked = Signal()
    #: Images are to be looked for in a folder.
    relink_asked = Signal(object)

    def __init__(self) -> None:
        super().__init__("1  Open")
        self.image_button = button("Image…", self._ask_image, "Open one image")
        self.folder_button = button("Folder…", self._ask_folder, "Open all images of a folder")
        self.project_button = button("Project…", self._ask_project, "Open a folder NAME.naslora")
        self.layer_button = button("Layer…", self.layer_asked.emit, LAYER)
        self.menu_button = button("⋯", lambda: None, "The sample project, and a report for those who help")
        self.menu_button.setFixedWidth(34)
        menu = QMenu(self)
        menu.addAction(SAMPLE_TEXT).triggered.connect(lambda _=False: self.sample_asked.emit())
        menu.addAction("Report…").triggered.connect(lambda _=False: self.report_asked.emit())
        self.menu_button.setMenu(menu)
        self.add_row(self.image_button, self.folder_button, self.project_button, self.layer_button, self.menu_button)
        self.previous_button = button("◀", lambda: self.step(-1), "Previous image")
        self.next_button = button("▶", lambda: self.step(1), "Next image")
        self.unfinished_button = button("▶▶", self.unfinished_asked.emit, "Next image that is not finished")
        self.suggest_button = button("★", self.suggest_asked.emit, SUGGEST)
        for arrow in (self.previous_button, self.next_button, self.unfinished_button, self.suggest_button):
            arrow.setFixedWidth(34)
        self.list_button = button("", self._fold, "Show or hide the list of images", checkable=True)
        self.list_button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        arrows = (self.next_button, self.unfinished_button, self.suggest_button)
        self.add_row(self.previous_button, self.list_button, *arrows, wide=1)
        self.list = ImageList()
        self.list.chosen.connect(self.image_chosen)
        self.list.hide()
        self.add(self.list)
        self.complete_button = button("Complete", lambda: self._mark("complete"), COMPLETE, checkable=True)
        self.skip_button = button("Skip", lambda: self._mark("skipped"), SKIP, checkable=True)
        self.area_button = button("Area", self.area_asked.emit, AREA, checkable=True)
        self.labels_button = button("Labels", lambda: None, "Import labels from other programs, or export them")
        self.add_row(self.complete_button, self.skip_button, self.area_button, self.labels_button)
        self.channels = ChannelChoice()
        self.add(self.channels)
        self.missing = wrapped()
        self.find_button = button("Find images…", self._ask_where, "Look for them in another folder")
        self.summary = QLabel()
        self.summary.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.sample_button = button(SAMPLE_TEXT, self.sample_asked.emit, SAMPLE)
        self.add(self.missing, self.find_button, self.summary, self.sample_button)
        self.summary.setText("Nothing is open yet.")
        self.show_missing([])
        self._enable(False)

    def use(self, project: Project, roomy: bool) -> None:
        """Show the images of a project; ``roomy``: there is room for the list."""
        self.list.use(project)
        self.show_missing([])
        self._enable(bool(project.images))
        self.sample_button.hide()
        if roomy and len(project.images) > 1 and not self.list_button.isChecked():
            self.list_button.setChecked(True)
            self._fold()
        self.show_current("", ImageStatus())

    def show_current(self, name: str, status: ImageStatus) -> None:
        """Show which image is open, and how far it is."""
        if name != self.list.current:
            self.list.show_current(name)
        self._show_name()
        self.show_status(status)

    def show_status(self, status: ImageStatus) -> None:
        """Show how far the open image is."""
        self.complete_button.setChecked(status.marks.complete)
        self.skip_button.setChecked(status.marks.skipped)

    def show_summary(self, summary: ProjectSummary) -> None:
        """Show how much is labelled."""
        self.summary.setText(progress_text(summary))
        self.summary.setToolTip(progress_details(summary))

    def show_suggestion(self, name: str, why: str) -> None:
        """Tell which image is suggested, and why; an empty name: none."""
        self.suggest_button.setToolTip(f"{SUGGEST}\n{name}: {why}" if name else SUGGEST)

    def show_missing(self, names: Sequence[str]) -> None:
        """Tell which images are not at their place any more, and offer to look for them."""
        for widget in (self.missing, self.find_button):
            widget.setVisible(len(names) > 0)
        if names:
            are = "is" if len(names) == 1 else "are"
            self.missing.setText(f"{counted(len(names), 'image')} {are} not at the old place, such as {names[0]}.")

    def step(self, by: int) -> None:
        """Go to the next or the previous image of the list."""
        names = self.list.model.names
        place = names.index(self.list.current) + by if self.list.current in names else 0
        if 0 <= place < len(names):
            self.image_chosen.emit(names[place])

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Show as much of the name as fits."""
        super().resizeEvent(event)
        self._show_name()

    def _enable(self, on: bool) -> None:
        for widget in (self.previous_button, self.next_button, self.unfinished_button, self.suggest_button):
            widget.setEnabled(on)
        self.list_button.setEnabled(on)
        for widget in (self.complete_button, self.skip_button, self.area_button, self.labels_button):
            widget.setEnabled(on)

    def _show_name(self) -> None:
        sign = "▴" if self.list_button.isChecked() else "▾"
        width = self.list_button.width() - 40
        metrics = self.list_button.fontMetrics()
        name = metrics.elidedText(self.list.current or "Images", Qt.TextElideMode.ElideMiddle, width)
        self.list_button.setText(f"{name} {sign}")

    def _fold(self) -> None:
        self.list.setVisible(self.list_button.isChecked())
        self._show_name()
        if self.list_button.isChecked():
            self.list.show_current(self.list.current)

    def _mark(self, mark: str) -> None:
        if self.list.current:
            self.list.marked.emit(self.list.current, mark)

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

    def _ask_where(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Look for the images in a folder and those in it")
        if path:
            self.relink_asked.emit(Path(path))
