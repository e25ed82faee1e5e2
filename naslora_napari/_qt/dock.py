"""The dock "NAS-LoRA": puts the panels, the canvas and the models together."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari import Viewer
from qtpy.QtCore import QEvent, Qt, QTimer, Signal
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from naslora_trainer.errors import UserError

from ..jobs.cores import Cores
from ..live import AnnotationSession, LivePredictor
from .ahead import Ahead, embedding_cache
from .asking import Asking
from .batch_panel import BatchPanel
from .batching import Batching
from .browsing import Browsing
from .canvas import Canvas
from .collector import collect_again, load_uncollected
from .editing import Editing
from .exchange import Exchange
from .following import Following
from .guidance import model_in_words, next_step
from .habits import Habits
from .hover import Hover
from .image_layer import load_layers
from .keeping import Keeping
from .keys import Keys
from .library import Library
from .next_object import NextObject
from .notify import attempt, report, warn
from .open_panel import OpenPanel
from .opening import Opened, project_at
from .plane_slider import PlaneSlider
from .prompt_panel import PromptPanel
from .reading import Content
from .report_dialog import open_report
from .reviewing import Reviewing
from .sample_project import SampleProject
from .status import Status
from .suggesting import Suggesting
from .tasks import Tasks
from .train_panel import TrainPanel
from .training import Training

if TYPE_CHECKING:
    import numpy as np

    from naslora_trainer.channels import Channels

    from ..store import Project
    from ..store.edits import Edit, Window

log = logging.getLogger("naslora_napari")
#: The model is loaded so long after the dock was drawn, in ms: importing torch holds up what is drawn meanwhile.
PAINTED_MS = 50


class NasLoraDock(QWidget):
    """Open, prompt, correct, fine-tune, segment a folder.

    Parameters
    ----------
    napari_viewer : Viewer
        The viewer it works in.

    Attributes
    ----------
    project, session, predictor
        The models it holds; project and session are None until something is opened.
    """

    previewChanged = Signal()
    imageReady = Signal(str)
    trained = Signal(dict)
    batchFinished = Signal(dict)

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewer = napari_viewer
        self.predictor = LivePredictor(cache=embedding_cache())
        self.project: Project | None = None
        self.session: AnnotationSession | None = None
        self._cores = Cores()
        self.model_tasks, self.file_tasks = (
            Tasks(self, "naslora-model", self._share_cores),
            Tasks(self, "naslora-files"),
        )
        self.status = Status()
        self.open_panel: OpenPanel = OpenPanel()
        self.prompt_panel: PromptPanel = PromptPanel()
        self.train_panel: TrainPanel = TrainPanel()
        self.batch_panel: BatchPanel = BatchPanel()
        self.canvas = Canvas(napari_viewer, self)
        self.training = Training(self.train_panel, self.predictor, self.model_tasks, self.file_tasks)
        self.library = Library(self.training)
        self.library.named.connect(self.show_state)
        self.batching = Batching(self.batch_panel, napari_viewer, self.training, self.file_tasks)
        self._refused = ""
        self._closed = False
        self._window_closes = False
        self.editing, self.hover, self.next_object = Editing(self), Hover(self), NextObject(self)
        self.keeping = Keeping(self)
        self.asking = Asking(self)
        self.browsing, self.exchange = Browsing(self), Exchange(self)
        self.ahead, self.suggesting = Ahead(self), Suggesting(self)
        self.reviewing: Reviewing = Reviewing(self)
        self.following: Following = Following(self)
        self.plane_slider = PlaneSlider(self)
        self.sample = SampleProject(self)
        self._lay_out()
        self._connect()
        self.keys = Keys(napari_viewer, self)
        self.habits = Habits(self)
        self.file_tasks.run(load_layers)
        self._loads = False
        self.show_state()

    @property
    def busy(self) -> bool:
        """True while the model or a file is being worked on."""
        return self.model_tasks.busy or self.file_tasks.busy or self.canvas.building

    def open_image(self, path: Path) -> None:
        """Open the project of one image."""
        self.open_project(path)

    def open_folder(self, path: Path) -> None:
        """Open the project of a folder of images."""
        self.open_project(path)

    def open_project(self, path: Path) -> None:
        """Open a project, or the one that belongs to a folder or an image."""
        if not self.keeping.may_leave():
            return
        self.file_tasks.run(lambda: project_at(Path(path)), self._use_project, doing=f"opening {Path(path).name}")

    def show_image(self, name: str, then: Callable[[], Any] | None = None) -> None:
        """Show an image of the project, and call ``then``; the model prepares the image in its thread."""
        project, session = self.project, self.session
        if project is None or session is None:
            return
        self.canvas.flush()
        self.file_tasks.run(
            lambda: Content.read(project, session, name),
            lambda content: self._use_image(project, content, then),
            self.failed,
            doing=f"opening {name}",
        )

    def set_mode(self, mode: str) -> None:
        """Choose what the mouse does: a key of :data:`naslora_napari._qt.prompt_panel.MODES`."""
        self.hover.clear()
        self.prompt_panel.check_mode(mode)
        self.canvas.set_mode(mode)  # type: ignore[arg-type]
        self.show_state()

    def close_down(self) -> None:
        """Save what is painted, end children and threads."""
        if self._closed:
            return
        self._closed = True
        for part in (self.hover, self.ahead, self.suggesting, self.reviewing, self.canvas):
            part.close()
        self.keys.release()
        self.training.close()
        self.library.close()
        self.batching.close()
        self.keeping.close()
        self.browsing.close()
        self.plane_slider.close()
        self.model_tasks.close()
        self.file_tasks.close()
        collect_again()

    def closeEvent(self, event: Any) -> None:
        """Close down with the window."""
        self.close_down()
        super().closeEvent(event)

    def showEvent(self, event: Any) -> None:
        """Watch the window, which destroys its docks without telling them."""
        super().showEvent(event)
        self.window().installEventFilter(self)
        self.asking.drawing.watch(self.window())

    def event(self, event: Any) -> bool:
        """Load the model once the dock is on the screen; close down when napari takes it out of the window."""
        if event.type() == QEvent.Type.Paint and not getattr(self, "_loads", True):
            self._loads = True
            QTimer.singleShot(PAINTED_MS, self, self._load_model)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None and hasattr(self, "_closed"):
            self.close_down()
        return bool(super().event(event))

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Close down when the window was closed: it hides, unless the person was asked and stays."""
        if watched is self.window():
            if event.type() == QEvent.Type.Close:
                if not self._closed and not self._may_close():
                    event.ignore()
                    return True
                self._window_closes = True
                QTimer.singleShot(0, self, self._window_stays)
            elif event.type() == QEvent.Type.Hide and self._window_closes:
                self.close_down()
        return super().eventFilter(watched, event)

    def _load_model(self) -> None:
        load = partial(load_uncollected, self.predictor.load)
        self.model_tasks.run(load, lambda _: self.show_state(), self.failed, doing="loading the model")

    def _share_cores(self) -> None:
        """Leave cores to a training or a folder run; called in the thread of the model."""
        self._cores.share(self.training.works_here or self.batching.works_here)

    def _may_close(self) -> bool:
        """Ask the person, unless a program closes the viewer: the canvas is gone then, and nothing may be shown."""
        if self.viewer.window._qt_viewer.isHidden():
            return True
        return self.keeping.may_leave() and self.training.may_leave()

    def _window_stays(self) -> None:
        self._window_closes = False

    def changeEvent(self, event: Any) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange) and hasattr(self, "train_panel"):
            self.train_panel.view.follow_theme(self.palette())
            self.status.follow_theme(self.palette())

    def _lay_out(self) -> None:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(4, 4, 4, 4)
        for widget in (self.status, self.open_panel, self.prompt_panel, self.train_panel, self.batch_panel):
            column.addWidget(widget)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidget(inner)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(scroll)
        self.setMinimumWidth(330 + scroll.verticalScrollBar().sizeHint().width())

    def _connect(self) -> None:
        for asked in (self.open_panel.image_asked, self.open_panel.folder_asked, self.open_panel.project_asked):
            asked.connect(self.open_project)
        self.open_panel.image_chosen.connect(self.show_image)
        self.open_panel.channels.chosen.connect(self._choose_channels)
        self.open_panel.report_asked.connect(lambda: open_report())
        self.open_panel.area_asked.connect(lambda: self.set_mode("area"))
        self.prompt_panel.add_mode("area", self.open_panel.area_button)
        self.prompt_panel.mode_chosen.connect(self.set_mode)
        self.prompt_panel.accepted.connect(self.editing.accept)
        self.prompt_panel.discarded.connect(self.editing.discard)
        self.prompt_panel.undone.connect(self.editing.undo)
        self.prompt_panel.redone.connect(self.editing.redo)
        self.prompt_panel.tidied.connect(self.editing.tidy)
        self.prompt_panel.next_asked.connect(self.editing.next_candidate)
        self.prompt_panel.hover_chosen.connect(self.hover.enable)
        self.canvas.labels_painted.connect(self._on_painted)
        self.training.finished.connect(self.trained)
        self.training.swapped.connect(self._on_swapped)
        self.batching.finished.connect(self.batchFinished)
        self.model_tasks.changed.connect(self.show_state)
        self.file_tasks.changed.connect(self.show_state)
        self.destroyed.connect(lambda: log.debug("dock destroyed"))

    def _use_project(self, opened: Opened) -> None:
        self.canvas.flush(everywhere=True)
        if not self.keeping.may_leave():  # what was painted while the project was opened
            return
        project, before = opened.project, self.project
        self.project = project
        self.ahead.use(project)
        if opened.left_out:
            more = f" (and {len(opened.left_out) - 1} more)" if len(opened.left_out) > 1 else ""
            warn(f"Left out: {opened.left_out[0]}{more}")
        self.session = AnnotationSession(project)
        self.keeping.use(project, before, self.session)
        self.asking.use(self.session)
        self.session.labels_changed.connect(self._on_labels)
        self.browsing.use(project)
        self.suggesting.use(project)
        self.next_object.show()
        self.training.set_project(project)
        self.show_counts()
        if project.images:
            self.show_image(project.images[0].name)
        else:
            report(UserError(f"The project {project.name} has no images.", "Open a folder with images."))

    def _use_image(self, project: Project, content: Content, then: Callable[[], Any] | None = None) -> None:
        if project is not self.project or self.session is None:
            return
        name = content.name
        self.canvas.flush(everywhere=True)
        if content.out_of_date(self.session):
            return self.show_image(name, then)
        self.hover.clear()
        self.batching.put_away()
        rois = project.status(name).marks.rois
        shown = partial(self._work_on, project, content, then)
        self.canvas.show_image(name, content.picture, content.objects, rois, shown)

    def _work_on(self, project: Project, content: Content, then: Callable[[], Any] | None) -> None:
        """Begin to work on an image whose layers are there."""
        if project is not self.project or self.session is None:
            return
        name, annotation = content.name, content.annotation
        if content.out_of_date(self.session):
            annotation = self.session.annotation
            self.canvas.put_back(annotation.labels)
        self.session.open(name, annotation)
        self.keys.bind(self.canvas.layers.values())
        self.browsing.show_image(name)
        self.plane_slider.show_image(project, name)
        self.open_panel.channels.show_channels(content.channels, project.channels(name))
        self.asking.prepare(name, content.picture)
        if then is not None:
            attempt(then)

    def _choose_channels(self, channels: Channels) -> None:
        """See other channels of the image, now and in the next training."""
        project, session = self.project, self.session
        if project is not None and session is not None and session.name:
            name = session.name
            self.file_tasks.run(
                lambda: project.set_channels(name, channels),
                lambda _: self.show_image(name),
                doing="mixing the channels",
            )

    def reload(self, project: Project) -> None:
        """Show a project as it is now on disk, if it is the one that is open."""
        if project is self.project and self.session is not None:
            self.browsing.use(project)
            self.next_object.show()
            self.show_counts()
            if self.session.name:
                self.show_image(self.session.name)

    def _on_labels(self, edit: Edit) -> None:
        self.canvas.show_labels(edit)
        self.show_counts()
        self.show_state()

    def _on_painted(self, labels: np.ndarray, window: Window | None) -> None:
        session = self.session
        if session is None or not session.name or labels.shape != session.labels.shape:
            return
        changed = attempt(lambda: session.brush(labels, window))
        if changed is None:
            self.canvas.put_back(session.labels)
        elif changed:
            self.show_counts()
            self.show_state()

    def show_counts(self) -> None:
        """Show how many images and objects there are."""
        self.browsing.show_counts()

    def _on_swapped(self) -> None:
        self.asking.ask()
        self.show_state()

    def forget_failure(self) -> None:
        """Tell no more what went wrong: the person asked for something else."""
        self._refused = ""

    def failed(self, error: BaseException) -> None:
        """Tell what went wrong, and leave it in the dock until the person asks for something else."""
        report(error)
        self._refused = str(error)
        self.show_state()

    def show_state(self) -> None:
        """Show what can be done now, and what is being done."""
        if self._closed or self.asking.drawing.held:
            return
        session = self.session
        has_prompt = session is not None and not session.prompts.empty
        candidates = 0 if session is None or session.preview is None else len(session.preview.candidates)
        can_undo, can_redo = (False, False) if session is None else (bool(session.undo_image), bool(session.redo_image))
        self.prompt_panel.show_state(has_prompt, candidates, can_undo, can_redo)
        message = self._refused or next_step(self, has_prompt, candidates > 0)
        rests = "training beside it" if self.training.running else "ready" if self.predictor.is_ready else ""
        doing = self.model_tasks.doing or self.file_tasks.doing
        self.keeping.tell_notices()
        self.status.show_trouble(self.keeping.text)
        self.status.show_all(message, model_in_words(self), rests, doing)
