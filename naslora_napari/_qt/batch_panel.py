"""Segment a folder."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal

from .widgets import Bar, Panel, button, wrapped


class BatchPanel(Panel):
    """The button, its progress, and the result."""

    asked = Signal()
    cancelled = Signal()
    result_asked = Signal()

    def __init__(self) -> None:
        super().__init__("4  Segment a folder")
        self.run_button = button("Segment a folder…", self.asked.emit, "Masks and measurements of every image in it")
        self.cancel_button = button("Cancel", self.cancelled.emit)
        self.open_button = button("Look at the result", self.result_asked.emit)
        self.progress = Bar()
        self.status = wrapped()
        self.add(self.run_button)
        self.add_row(self.progress, self.cancel_button, wide=0)
        self.add(self.status, self.open_button)
        for widget in (self.progress, self.cancel_button, self.open_button, self.status):
            widget.hide()

    def show_running(self, running: bool) -> None:
        """Show or hide progress and cancel."""
        self.run_button.setEnabled(not running)
        self.progress.setVisible(running)
        self.cancel_button.setVisible(running)
        self.status.setVisible(True)
        if running:
            self.open_button.hide()
            self.progress.wait()
            self.status.setText("Loading the model…")

    def show_event(self, event: dict[str, Any]) -> None:
        """Show one event of the process."""
        if event["event"] == "progress":
            self.progress.show_part(int(event["step"]), int(event["steps"]))
            self.status.setText(f"{event['step']} of {event['steps']}: {event.get('name', '')}")
        elif event["event"] == "result":
            failed = event.get("failed") or []
            broken = f"; {len(failed)} could not be read" if failed else ""
            self.status.setText(f"{event['objects']} objects in {event['images']} images{broken}.")
