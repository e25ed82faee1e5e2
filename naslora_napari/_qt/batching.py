"""Segment a folder in a child process, and look at the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from napari import Viewer
from napari.layers import Labels, Layer
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog

from naslora_trainer.errors import UserError
from naslora_trainer.images import list_images
from naslora_trainer.pictures import Picture, open_picture, planes_of

from ..batch.results import labels_in
from ..jobs import segment_command, segment_job
from .batch_panel import BatchPanel
from .image_layer import image_layer, place_of
from .notify import complain, tell, warn
from .polling import Polling
from .tasks import Tasks
from .training import Training


class Batching(QObject):
    """One folder at a time, with the model that answers now.

    Parameters
    ----------
    panel : BatchPanel
        What the person sees.
    viewer : Viewer
        Shows the result.
    training : Training
        Knows which adapter is in use.
    file_tasks : Tasks
        Thread for files.
    """

    finished = Signal(dict)
    shown = Signal()

    def __init__(self, panel: BatchPanel, viewer: Viewer, training: Training, file_tasks: Tasks) -> None:
        super().__init__(panel)
        self.panel, self.viewer, self.training, self.file_tasks = panel, viewer, training, file_tasks
        self.folder: Path | None = None
        self.out: Path | None = None
        self._result: list[Layer] = []
        self._polling = Polling(self, self._on_event)
        panel.asked.connect(self._ask)
        panel.cancelled.connect(self._polling.cancel)
        panel.paused.connect(self._polling.pause)
        panel.result_asked.connect(self.show_result)

    @property
    def running(self) -> bool:
        """True while the child runs."""
        return self._polling.running

    @property
    def works_here(self) -> bool:
        """Whether the child computes on this computer. May be asked from any thread."""
        return self._polling.works_here

    def start(self, folder: Path, out: Path | None = None) -> None:
        """Segment ``folder`` into ``out`` (by default ``<folder>_segmented`` beside it)."""
        if self.running:
            return
        self.folder, self.out = folder, out or folder.with_name(f"{folder.name}_segmented")
        base = self.training.predictor.base
        command = segment_command(folder, self.out, self.training.adapter_path, base=base, extras=self.panel.extras)
        self.panel.show_running(True)
        try:
            self._polling.start(segment_job(command))
        except Exception as error:
            self._on_event({"event": "error", "message": f"The segmentation could not be started: {error}."})

    def close(self) -> None:
        """End the child."""
        self._polling.close()

    def show_result(self) -> None:
        """Show the first segmented image in the viewer; of a stack its first plane."""
        folder, out = self.folder, self.out
        if folder is None or out is None:
            return

        def read() -> tuple[str, Picture, np.ndarray]:
            first = next((path for path in list_images(folder) if (out / f"{path.stem}.tif").is_file()), None)
            if first is None:
                raise UserError(f"{out} has no result of an image in {folder}.", "Segment the folder again.")
            plane = (0,) * len(planes_of(first)[0])
            return first.stem, open_picture(first, plane), labels_in(out / f"{first.stem}.tif", plane)

        def show(found: tuple[str, Picture, np.ndarray]) -> None:
            name, picture, labels = found
            self.put_away()
            image = image_layer(f"{name} (result)", picture)
            if self.viewer.layers:
                _cover(image, picture.shape, self.viewer.layers.extent)
            self._result = [image, Labels(labels, name=f"{name} (masks)", opacity=0.5, **place_of(image))]
            for layer in self._result:
                self.viewer.add_layer(layer)
            self.shown.emit()

        self.file_tasks.run(read, show, doing="reading the result")

    def put_away(self) -> None:
        """Take the result that is shown out of the viewer: it would cover the image that a person works on."""
        for layer in self._result:
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        self._result = []

    def _ask(self) -> None:
        path = QFileDialog.getExistingDirectory(self.panel, "Segment all images of a folder")
        if path:
            self.start(Path(path))

    def _on_event(self, event: dict[str, Any]) -> None:
        self.panel.show_event(event)
        if event["event"] == "warning":
            warn(event["message"])
        elif event["event"] == "error":
            hint = str(event.get("hint", ""))
            complain(str(event["message"]), hint)
            message = f"{event['message']} {hint}".strip()
            self._end(event, message)
        elif event["event"] == "result":
            self._end(event, "Stopped." if event.get("status") == "cancelled" else "")

    def _end(self, event: dict[str, Any], message: str) -> None:
        self.panel.show_running(False)
        if message:
            self.panel.status.setText(message)
        elif event["event"] == "result":
            self.panel.open_button.setVisible(bool(event.get("images")))
            assert self.out is not None
            done = self.panel.status.text()
            self.panel.status.setText(f"{done} They are in {self.out.name}.")
            self.panel.status.setToolTip(str(self.out))
            tell(f"{done} They are in {self.out}.")
        self.finished.emit(event)


def _cover(image: Any, shape: tuple[int, int], extent: Any) -> None:
    """Draw an image over what is shown, which may have other units and another size: it is only looked at."""
    shown = np.ptp(extent.world[:, -2:], axis=0) + extent.step[-2:]  # it reaches from centre to centre of pixels
    factor = float(np.max(shown / np.multiply(shape, image.scale[-2:])))
    image.scale = np.multiply(image.scale, factor if np.isfinite(factor) and factor > 0 else 1)
    if extent.units is not None:
        image.units = extent.units[-2:]
