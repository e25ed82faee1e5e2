"""What the person chose in the dock is chosen again the next time: napari keeps it with its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from .prompt_panel import OVERLAPS
from .settings import keep, setting
from .train_panel import PRESETS

if TYPE_CHECKING:
    from .dock import NasLoraDock

SECTION = "habits"


class Habits(QObject):
    """Chooses what was chosen before, and notes what is chosen from now on.

    Parameters
    ----------
    dock : NasLoraDock
        Its preview under the mouse, what becomes of overlaps, the preset of a training, what a folder run writes.
    """

    def __init__(self, dock: NasLoraDock) -> None:
        super().__init__(dock)
        prompt, train, batch = dock.prompt_panel, dock.train_panel, dock.batch_panel
        preview = setting(SECTION, "preview", True)
        if preview != prompt.hover_button.isChecked():
            prompt.hover_button.setChecked(preview)
            prompt.hover_chosen.emit(preview)
        overlap = setting(SECTION, "overlap", "keep")
        if overlap in OVERLAPS and overlap != prompt.overlap_box.currentData():
            prompt.overlap_box.setCurrentIndex(prompt.overlap_box.findData(overlap))
            prompt.overlap_chosen.emit(overlap)
        preset = setting(SECTION, "preset", "")
        if preset in PRESETS:
            train.preset.setCurrentText(preset)
            train.preset.activated.emit(train.preset.currentIndex())
        batch.choose_extras(setting(SECTION, "also", "").split(","))
        prompt.hover_chosen.connect(lambda on: keep(SECTION, "preview", on))
        prompt.overlap_chosen.connect(lambda chosen: keep(SECTION, "overlap", chosen))
        train.preset.activated.connect(lambda _: keep(SECTION, "preset", train.preset.currentText()))
        batch.extras_chosen.connect(lambda extras: keep(SECTION, "also", ",".join(extras)))
