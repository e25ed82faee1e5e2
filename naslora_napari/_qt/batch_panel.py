"""Segment a folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QMenu

from ..batch.pace import pace_text
from ..batch.results import EXTRAS
from .widgets import Bar, Panel, button, counted, wrapped

REVIEW = "Look through the images of a segmented folder, the most doubtful first, and correct them"
ALSO = "What is written besides label images and tables"
#: What each extra of a run is, for the menu.
EXTRA_TEXTS = {
    "overlays": "Overlays: the images with outlines",
    "geojson": "Outlines for QuPath (GeoJSON)",
    "coco": "All objects in one file (COCO)",
    "semantic": "The class at each pixel",
}


class BatchPanel(Panel):
    """The button, its progress, and the result."""

    asked = Signal()
    cancelled = Signal()
    paused = Signal(bool)
    result_asked = Signal()
    review_asked = Signal()
    #: Names of the extras that are to be written from now on.
    extras_chosen = Signal(tuple)

    def __init__(self) -> None:
        super().__init__("4  Segment a folder")
        self.run_button = button("Segment a folder…", self.asked.emit, "Masks and measurements of every image in it")
        self.review_button = button("Review…", self.review_asked.emit, REVIEW)
        self.pause_button = button("Pause", self._pause, "Finish the image at hand and rest")
        self.cancel_button = button("Cancel", self.cancelled.emit, "Stop; what is finished stays")
        self.open_button = button("Look at the result", self.result_asked.emit, "Show the first image with its masks")
        self.progress = Bar()
        self._resting, self._place = False, ""
        self.status = wrapped()
        self.also_button = button("Also…", lambda: None, ALSO)
        menu = QMenu(self)
        self._extras = {extra: menu.addAction(EXTRA_TEXTS[extra]) for extra in EXTRAS}
        for action in self._extras.values():
            action.setCheckable(True)
            action.toggled.connect(lambda _: self.extras_chosen.emit(self.extras))
        self.also_button.setMenu(menu)
        self.add_row(self.run_button, self.also_button, self.review_button, wide=0)
        self.add_row(self.progress, self.pause_button, self.cancel_button, wide=0)
        self.add(self.status, self.open_button)
        for widget in (self.progress, self.pause_button, self.cancel_button, self.open_button, self.status):
            widget.hide()

    @property
    def extras(self) -> tuple[str, ...]:
        """What is to be written besides label images and tables (see :data:`naslora_napari.batch.results.EXTRAS`)."""
        return tuple(extra for extra, action in self._extras.items() if action.isChecked())

    def choose_extras(self, extras: Sequence[str]) -> None:
        """Tick these, and no others."""
        for extra, action in self._extras.items():
            action.setChecked(extra in extras)

    def show_running(self, running: bool) -> None:
        """Show or hide progress and cancel."""
        self.run_button.setEnabled(not running)
        self.progress.setVisible(running)
        self.pause_button.setVisible(running)
        self.cancel_button.setVisible(running)
        self._show_paused(False)
        self.status.setVisible(True)
        if running:
            self.open_button.hide()
            self.progress.wait()
            self._place = "Loading the model…"
            self._show_place()

    def show_event(self, event: dict[str, Any]) -> None:
        """Show one event of the process."""
        if event["event"] == "progress":
            self.progress.show_part(int(event["step"]), int(event["steps"]))
            place = f"{event['step']} of {event['steps']}: {event.get('name', '')}"
            self._place = "\n".join(filter(None, (place, pace_text(event))))
            self._show_place()
        elif event["event"] == "result":
            failed = event.get("failed") or []
            objects, images = counted(event["objects"], "object"), counted(event["images"], "image")
            broken = f"; {len(failed)} could not be read" if failed else ""
            self.status.setText(f"{objects} in {images}{broken}.")

    def _pause(self) -> None:
        self._show_paused(not self._resting)
        self._show_place()
        self.paused.emit(self._resting)

    def _show_paused(self, resting: bool) -> None:
        self._resting = resting
        self.pause_button.setText("Go on" if resting else "Pause")

    def _show_place(self) -> None:
        self.status.setText(f"{self._place}\nPaused." if self._resting else self._place)
