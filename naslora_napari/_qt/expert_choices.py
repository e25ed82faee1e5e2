"""What an expert may choose for a fine-tune; all else has good defaults."""

from __future__ import annotations

from typing import Any, get_args

from qtpy.QtWidgets import QComboBox, QFormLayout, QSpinBox, QWidget

from naslora_trainer.config import FineTuneConfig, Method

METHODS: dict[str, str] = {
    "nas-lora": "a searched cell in each adapted layer",
    "nas-pc-lora": "the same on a part of the channels: less memory",
    "conv-lora": "one 3 x 3 convolution as the cell",
    "conv-lora-experts": "a mixture of scaled convolutions",
    "lora": "no cell",
    "decoder-only": "the image encoder stays as it is: fast",
}
#: Shown in place of no steps.
AS_PRESET = "as the preset says"


class ExpertChoices(QWidget):
    """Method, rank, adapted blocks, steps and seed of a fine-tune."""

    def __init__(self) -> None:
        super().__init__()
        defaults = FineTuneConfig.checked()
        self.method = QComboBox()
        self.method.setToolTip("What each adapted layer gets; the method of this program is nas-lora")
        for name in get_args(Method):
            self.method.addItem(name)
            self.method.setItemData(self.method.count() - 1, METHODS[name], 3)  # Qt.ToolTipRole
        self.rank = _spin(1, 64, defaults.rank, "Rank of the update of each adapted layer")
        self.blocks = _spin(1, 64, defaults.blocks, "How many of the encoder's last attention blocks are adapted")
        self.steps = _spin(0, 100_000, 0, "Optimisation steps, at least 5")
        self.steps.setSpecialValueText(AS_PRESET)
        self.seed = _spin(0, 2**31 - 1, defaults.seed, "Seed of every random choice")
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        for title, widget in (
            ("Method", self.method), ("Rank", self.rank), ("Blocks", self.blocks), ("Steps", self.steps),
            ("Seed", self.seed),
        ):  # fmt: skip
            form.addRow(title, widget)
        self._start = self._values()

    @property
    def settings(self) -> dict[str, Any]:
        """What differs from the defaults, by field of :class:`naslora_trainer.config.FineTuneConfig`."""
        return {name: value for name, value in self._values().items() if value != self._start[name]}

    def _values(self) -> dict[str, Any]:
        spins = {name: getattr(self, name).value() for name in ("rank", "blocks", "steps", "seed")}
        return {"method": self.method.currentText(), **spins}


def _spin(low: int, high: int, value: int, tooltip: str) -> QSpinBox:
    made = QSpinBox()
    made.setRange(low, high)
    made.setValue(value)
    made.setToolTip(tooltip)
    made.setMinimumWidth(0)
    return made
