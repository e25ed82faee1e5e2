"""What a training tells while it runs, as events."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from .architecture import Architecture
from .config import FineTuneConfig
from .examinee import Examinee
from .gate import Gate, memory_mb
from .sights import sights, watched
from .splits import Split

Event = dict[str, Any]
#: Held-out images are shown as often as this share of the time allows, besides the beginning and the end.
SIGHTS_SHARE = 0.05


class Telling:
    """Makes the events of one training.

    Parameters
    ----------
    emit : callable
        Gets the events.
    config : FineTuneConfig
        Of the training.
    split : Split
        What trains and what judges.
    device : str
        A torch device name.

    Attributes
    ----------
    busy : float
        Seconds spent in steps, without the checks between them; its owner counts them.
    """

    def __init__(self, emit: Callable[[Event], None], config: FineTuneConfig, split: Split, device: str) -> None:
        self._emit, self._config, self._split, self._device = emit, config, split, device
        self._watched = watched(split.validation, config.shown_images)
        #: When held-out images were shown last, and how long that took, in s.
        self._shown, self._showing = 0.0, 0.0
        self.busy = 0.0

    @property
    def images(self) -> int:
        """How many images have objects."""
        return len({image.name for part in (self._split.train, self._split.validation) for image in part})

    def started(self) -> None:
        """Tell what begins."""
        config = self._config
        event = {"event": "started", "method": config.method, "base": config.base, "images": self.images}
        self._emit({**event, "objects": self._split.objects(), "steps": config.steps, "device": self._device})

    def progress(self, step: int, stage: str, loss: float | None) -> None:
        """Tell how far it is."""
        eta = self.busy / step * (self._config.steps - step) if step else None
        event = {"event": "progress", "step": step, "steps": self._config.steps, "stage": stage, "loss": loss}
        self._emit({**event, "eta_s": eta, "memory_mb": memory_mb(self._device)})

    def metric(self, step: int, dice: Mapping[str, float]) -> None:
        """Tell what was measured on held-out objects."""
        event = {"event": "metric", "step": step, "click_dice": dice["click"], "box_dice": dice["box"]}
        self._emit({**event, "busy_s": round(self.busy, 3)})

    def architecture(self, step: int, layers: Architecture) -> None:
        """Tell how probable each operation is, by layer."""
        self._emit({"event": "architecture", "step": step, "layers": layers})

    def sights(self, step: int, model: Examinee, now: bool = False) -> None:
        """Show how held-out images are answered, where it is time for that, or ``now``."""
        begun = time.monotonic()
        if not self._watched or not (now or (begun - self._shown) * SIGHTS_SHARE > self._showing):
            return
        self._emit({"event": "sights", "step": step, "pictures": sights(model, self._watched)})
        self._shown = time.monotonic()
        self._showing = self._shown - begun

    def comparison(self, gate: Gate, verdict: Mapping[str, Any], model: Examinee) -> None:
        """Tell how the new model does beside the others, and show where it lost most."""
        shown = gate.cases(model) if self._watched else []
        self._emit({"event": "comparison", **verdict, "cases": shown})

    def warning(self, text: str) -> None:
        """Tell something that a person should know."""
        self._emit({"event": "warning", "message": text})
