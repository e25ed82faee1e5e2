"""Is the new model better than the one in use? Judged on objects it never saw."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from segment_anything.modeling import Sam

from .adapter import Adapter
from .config import FineTuneConfig
from .data import TrainingImage
from .evaluate import evaluate
from .models import build, learned_prompts

#: A new model may lose so much box Dice and still count as better.
BOX_TOLERANCE = 0.005
#: At most so many validation objects of each image are asked for.
MOST_OBJECTS = 12


class Gate:
    """Dice on validation objects of the model in use (``before``) and of candidates.

    Parameters
    ----------
    config : FineTuneConfig
        ``compare_with`` names the adapter in use, if there is one.
    images : sequence of TrainingImage
        The validation part.
    device : str
        A torch device name.
    check_stop : callable
        Called between images; may raise.
    before : dict, optional
        What was measured of the model in use, when it is known.
    """

    def __init__(
        self,
        config: FineTuneConfig,
        images: Sequence[TrainingImage],
        device: str,
        check_stop: Callable[[], None] = lambda: None,
        before: dict[str, float] | None = None,
    ) -> None:
        self._images, self._check_stop = images, check_stop
        if before is not None:
            self.before = before
            return
        live = Adapter.load(Path(config.compare_with)) if config.compare_with else None
        model = build(config.base, live, device)
        self.before = self.measure(model, learned_prompts(config.base, live))

    def measure(self, sam: Sam, learned: Sequence[str]) -> dict[str, float]:
        """Return the mean Dice after one ``click`` and for one ``box``, 0 to 1."""
        with torch.no_grad():
            scores = evaluate(
                sam,
                learned,
                self._images,
                max_objects=MOST_OBJECTS,
                on_progress=lambda *_: self._check_stop(),
            )
        return {"click": scores["point"]["dice"][0], "box": scores["box"]["dice"]}

    def verdict(self, after: dict[str, float]) -> dict[str, Any]:
        """Return ``validation`` (before, after), ``better`` and ``reason``, one sentence."""
        before = self.before
        click_gain, box_gain = after["click"] - before["click"], after["box"] - before["box"]
        better = click_gain > 0 and box_gain >= -BOX_TOLERANCE
        figures = (
            f"clicks {before['click']:.3f} -> {after['click']:.3f}, boxes {before['box']:.3f} -> {after['box']:.3f}"
        )
        verdict = "better than" if better else "not better than"
        return {
            "validation": {kind: {"before": before[kind], "after": after[kind]} for kind in before},
            "better": better,
            "reason": f"On held-out objects the new model is {verdict} the one in use (Dice: {figures}).",
        }


def peak_memory_mb(device: str) -> float:
    """Return the peak memory of this process in MiB, and on CUDA the peak of the device in its place."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 1024**2
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 1024**2
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)
