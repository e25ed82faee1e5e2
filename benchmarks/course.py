"""What every training of :mod:`contenders` has in common: images, settings, gate, clock."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cost import RECIPE
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage
from naslora_trainer.gate import Gate, peak_memory_mb
from naslora_trainer.splits import Split
from packs import labelled, read_pack

TARGET, SEED = "nuclei", 0


@dataclass(frozen=True)
class Setup:
    """What is trained on, for how long and how often it is measured.

    Attributes
    ----------
    data : Path
        The folder with the packs.
    steps : int
        Steps of ``RECIPE["prompts_per_step"]`` objects each.
    every : int
        Steps between two measurements.
    precision : str
        Of this project's own engine, ``float32`` or ``bfloat16``; the others compute in float32.
    """

    data: Path
    steps: int
    every: int
    precision: str

    def images(self) -> list[TrainingImage]:
        """Return the labelled images."""
        return read_pack(self.data, TARGET, labelled(TARGET, SEED))

    def config(self, method: str, **more: Any) -> FineTuneConfig:
        """Return the settings of a fine-tune with ``method``."""
        settings = {**RECIPE, "steps": self.steps, "seed": SEED, "device": "cpu", "precision": self.precision, **more}
        return FineTuneConfig.checked(
            method=method, validate_every=self.every, shown_images=0, seed_head=False, **settings
        )

    def measured(self, step: int) -> bool:
        """Return whether there is a measurement after so many steps."""
        return step % self.every == 0 or step == self.steps


class Recorder:
    """Gathers the events of a training: time before a ``progress`` event was training, before a ``metric`` it was not.

    So the fold of a cell counts as training, which the ``busy_s`` of :func:`finetune`'s own events leaves out.

    Attributes
    ----------
    step : int
        How many steps were taken.
    """

    def __init__(self) -> None:
        self.step = 0
        self._mark: tuple[float, float] | None = None
        self._start_mb = 0.0
        #: Wall and CPU seconds in training, and those of each step.
        self._busy, self._busy_cpu = 0.0, 0.0
        self._laps: list[tuple[float, float]] = []
        #: Rows of the curve, by step.
        self._points: dict[int, list[float]] = {}

    def __call__(self, event: dict[str, Any]) -> None:
        """Take an event as :func:`finetune` tells it."""
        if event["event"] not in ("progress", "metric"):
            return
        if event["event"] == "metric":
            busy, cpu = round(self._busy, 3), round(self._busy_cpu, 3)
            self._points[event["step"]] = [busy, event["click_dice"], event["box_dice"], cpu]
            self._start_mb = self._start_mb or peak_memory_mb("cpu")
        elif self._mark is not None:
            lap = time.perf_counter() - self._mark[0], time.process_time() - self._mark[1]
            self._busy, self._busy_cpu = self._busy + lap[0], self._busy_cpu + lap[1]
            if event["step"] > self.step:
                self._laps.append(lap)
        self.step = event["step"]
        self._mark = time.perf_counter(), time.process_time()

    def measured(self, dice: dict[str, float]) -> None:
        """Take what a gate measured after the steps that were taken."""
        self({"event": "metric", "step": self.step, "click_dice": dice["click"], "box_dice": dice["box"]})

    def stepped(self) -> None:
        """Take note of a step that was taken."""
        self({"event": "progress", "step": self.step + 1})

    def gate(self, config: FineTuneConfig, split: Split) -> Gate:
        """Return the gate that judges a training, with what it measures of the base model noted."""
        gate = Gate(config, split.validation, "cpu")
        self.measured(gate.before)
        return gate

    def result(self, wanted: Callable[[int], bool]) -> dict[str, Any]:
        """Return what was gathered, of the measurements those after ``wanted`` steps.

        Returns
        -------
        dict
            ``steps``, ``busy_s``; ``step_s`` and ``step_cpu_s``: medians without the first step; ``start_mb``: peak
            memory before the first step (libraries, model, one measurement); ``peak_mb``; ``start``: Dice of the base
            model, whose clicks are asked as boxes; ``curve``: of each measurement the busy seconds so far, click Dice,
            box Dice, and the busy seconds of CPU time.
        """
        start = self._points[0]
        walls, cpus = zip(*self._laps[1:], strict=True)
        return {
            "steps": len(self._laps),
            "busy_s": round(self._busy, 3),
            "step_s": round(statistics.median(walls), 4),
            "step_cpu_s": round(statistics.median(cpus), 4),
            "start_mb": round(self._start_mb, 1),
            "peak_mb": round(peak_memory_mb("cpu"), 1),
            "start": {"click": start[1], "box": start[2]},
            "curve": [point for step, point in sorted(self._points.items()) if step and wanted(step)],
        }
