"""Is the new model better than the one in use? Judged on objects it never saw."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
import torch
from segment_anything.modeling import Sam

from .adapter import Adapter
from .automatic import automatic_f1
from .config import FineTuneConfig
from .data import TrainingImage
from .evaluate import evaluate
from .models import build, learned_prompts
from .seed_head import SeedHead, head_of
from .sights import cases

#: A new model may lose so much box Dice and still count as better.
BOX_TOLERANCE = 0.005
#: At most so many validation objects of each image are asked for.
MOST_OBJECTS = 12
#: So many objects are shown of which the new model's answer is worse.
WORST = 3

#: Dice of each object: by name of the image, id, and prompt.
Each = dict[tuple[str, int, str], float]


class Gate:
    """Dice on validation objects of the base model, of the model in use (``before``), and of candidates.

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
    """

    def __init__(
        self,
        config: FineTuneConfig,
        images: Sequence[TrainingImage],
        device: str,
        check_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._config, self._images, self._device, self._check_stop = config, images, device, check_stop
        self._whole = [image for image in images if image.known.any()]
        self._last: Each = {}
        self._before: Each = {}

    @cached_property
    def before(self) -> dict[str, float]:
        """What :meth:`measure` says of the model in use; it is measured when it is asked for the first time."""
        found, self._before = self._measured(*self._in_use())
        return found

    def measure(self, sam: Sam, learned: Sequence[str]) -> dict[str, float]:
        """Return the mean Dice after one ``click`` and for one ``box``, 0 to 1."""
        found, self._last = self._measured(sam, learned)
        return found

    def _measured(self, sam: Sam, learned: Sequence[str]) -> tuple[dict[str, float], Each]:
        each: Each = {}
        with torch.no_grad():
            scores = evaluate(
                sam,
                learned,
                self._images,
                max_objects=MOST_OBJECTS,
                on_progress=lambda *_: self._check_stop(),
                on_object=lambda name, key, prompt, dice: each.update({(name, key, prompt): dice}),
            )
        return {"click": scores["point"]["dice"][0], "box": scores["box"]["dice"]}, each

    def worst(self) -> list[dict[str, Any]]:
        """Return the objects on which the candidate that was measured last lost most against the model in use.

        Returns
        -------
        list of dict
            ``name`` of the image, ``object``, ``prompt`` (``click`` or ``box``), ``before`` and ``after`` (Dice).
        """
        lost = sorted(self._last, key=lambda one: (self._last[one] - self._before[one], one))
        return [
            {"name": name, "object": key, "prompt": prompt, "before": self._before[one], "after": self._last[one]}
            for one in lost[:WORST]
            for name, key, prompt in [one]
        ]

    def cases(self, sam: Sam, learned: Sequence[str]) -> list[dict[str, Any]]:
        """Return :meth:`worst` with pictures of both answers (see :func:`naslora_trainer.sights.cases`)."""
        return cases(self._in_use(), (sam, learned), self.worst(), self._images)

    def automatic(self, sam: Sam, head: SeedHead | None, one_object: bool) -> dict[str, float | None] | None:
        """Return how well a new head finds objects by itself beside that of the model in use, if that has one.

        Parameters
        ----------
        sam : Sam
            The new model.
        head : SeedHead or None
            Its head.
        one_object : bool
            Whether each image that it learned from had one object.

        Returns
        -------
        dict or None
            ``before``, None where the model in use has no head, and ``after``: see
            :func:`naslora_trainer.automatic.automatic_f1`. None where there is no new head, or no held-out image, nor
            a part of one, in which every object is labelled.
        """
        if head is None or not self._whole:
            return None
        live = self._live()
        old = head_of(live.tensors, live.meta.classes) if live else None
        before = None
        if live and old:
            in_use = build(self._config.base, live, self._device)
            before = automatic_f1(in_use, old.to(self._device), self._whole, live.one_object, self._check_stop)
        return {"before": before, "after": automatic_f1(sam, head, self._whole, one_object, self._check_stop)}

    def _of_base(self) -> dict[str, float]:
        """Measure the base model, where it is not the one in use."""
        if not self._config.compare_with:
            return self.before
        return self._measured(build(self._config.base, None, self._device), learned_prompts(self._config.base, None))[0]

    def _in_use(self) -> tuple[Sam, Sequence[str]]:
        base, live = self._config.base, self._live()
        return build(base, live, self._device), learned_prompts(base, live)

    def _live(self) -> Adapter | None:
        return Adapter.load(Path(self._config.compare_with)) if self._config.compare_with else None

    def verdict(self, after: dict[str, float]) -> dict[str, Any]:
        """Return ``validation`` (base, before, after), ``better`` and ``reason``, one sentence."""
        before, base = self.before, self._of_base()
        click_gain, box_gain = after["click"] - before["click"], after["box"] - before["box"]
        better = click_gain > 0 and box_gain >= -BOX_TOLERANCE
        figures = (
            f"clicks {before['click']:.3f} -> {after['click']:.3f}, boxes {before['box']:.3f} -> {after['box']:.3f}"
        )
        verdict = "better than" if better else "not better than"
        return {
            "validation": {kind: {"base": base[kind], "before": before[kind], "after": after[kind]} for kind in before},
            "better": better,
            "reason": f"On held-out objects the new model is {verdict} the one in use (Dice: {figures}).",
        }


def memory_mb(device: str) -> float:
    """Return the memory that this process holds now in MiB, and on CUDA that of the device in its place."""
    if device.startswith("cuda"):
        return torch.cuda.memory_allocated(device) / 1024**2
    return psutil.Process().memory_info().rss / 1024**2


def peak_memory_mb(device: str) -> float:
    """Return the peak memory of this process in MiB, and on CUDA the peak of the device in its place."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 1024**2
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 1024**2
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)
