"""Which channels of an image are red, green and blue."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy, QWidget

from naslora_trainer.channels import NONE, PLAIN, Channels

from .widgets import named

COLOURS = ("red", "green", "blue")


class ChannelChoice(QWidget):
    """A list of the channels for each of three colours; a single channel is shown in gray. Hidden without a choice."""

    chosen = Signal(tuple)

    def __init__(self) -> None:
        super().__init__()
        self.lists = [QComboBox() for _ in COLOURS]
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for colour, box in zip(COLOURS, self.lists, strict=True):
            label = QLabel(colour[0].upper())
            label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            tooltip = (
                f"The channel that people and model see in {colour}; where just one colour has a channel, it is gray"
            )
            named(box, f"Channel seen in {colour}", tooltip)
            box.activated.connect(self._on_activated)
            row.addWidget(label)
            row.addWidget(box, 1)
        self.hide()

    def show_channels(self, names: Sequence[str], channels: Channels) -> None:
        """Show what can be chosen, by name, and what is; without names nothing."""
        channels = channels or tuple(i if i < len(names) else NONE for i in range(len(COLOURS)))
        channels = channels if len(channels) == len(COLOURS) else (channels[0], NONE, NONE)
        for channel, box in zip(channels, self.lists, strict=True):
            box.clear()
            box.addItem("–", NONE)
            for number, name in enumerate(names):
                box.addItem(name.removeprefix(PLAIN), number)  # the row is narrow
                box.setItemData(number + 1, name, Qt.ItemDataRole.ToolTipRole)
            box.view().setMinimumWidth(box.view().sizeHintForColumn(0) + 2 * box.view().frameWidth())
            box.setCurrentIndex(channel + 1)
        self.setVisible(bool(names))

    @property
    def channels(self) -> Channels:
        """What is chosen; empty when nothing is."""
        found = tuple(box.currentData() for box in self.lists)
        there = tuple(channel for channel in found if channel != NONE)
        return there if len(there) < 2 else found

    def _on_activated(self) -> None:
        if self.channels:
            self.chosen.emit(self.channels)
