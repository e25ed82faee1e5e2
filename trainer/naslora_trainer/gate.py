"""How the model in use and the new one do on objects that neither saw in this training."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from .adapter import Adapter
from .automatic import automatic_f1, mostly_in
from .cache import PrefixCache
from .config import FineTuneConfig
from .data import TrainingImage, ids_in
from .evaluate import evaluate
from .examinee import RAM_BYTES, Examinee
from .models import build, learned_prompts
from .seed_head import SeedHead, head_of
from .sights import cases
from .verdict import Comparison, Each, found, means, overall, paired

#: At most so many validation objects of each image are asked for.
MOST_OBJECTS = 12
#: So many objects are shown of which the new model's answer is worse.
WORST = 3


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
        Called after each object; may raise.
    judged : sequence of ndarray, optional
        (H, W) bool of each image: where what a model finds by itself is compared; by default where every object is
        labelled.

    Attributes
    ----------
    candidate : mapping
        Dice of the candidate, by name of the image, id of the object and prompt: what was measured last, or what is put
        here.
    """

    def __init__(
        self,
        config: FineTuneConfig,
        images: Sequence[TrainingImage],
        device: str,
        check_stop: Callable[[], None] = lambda: None,
        judged: Sequence[np.ndarray] | None = None,
    ) -> None:
        self._config, self._images, self._device, self._check_stop = config, images, device, check_stop
        where = [image.known for image in images] if judged is None else judged
        self._whole = [(image, there) for image, there in zip(images, where, strict=True) if there.any()]
        #: Of the model in use.
        self._before: Each = {}
        self.candidate: Each = {}
        #: What the model in use has seen.
        self._seen = PrefixCache(RAM_BYTES)

    @cached_property
    def before(self) -> dict[str, float]:
        """What :meth:`measure` says of the model in use; it is measured when it is asked for the first time."""
        self._before = self._measured(self._in_use)
        return means(self._before)

    def measure(self, model: Examinee) -> dict[str, float]:
        """Return the mean Dice after one ``click`` and for one ``box``, 0 to 1, of a model: it is the candidate now."""
        self.candidate = self._measured(model)
        return means(self.candidate)

    def _measured(self, model: Examinee) -> Each:
        each: dict[tuple[str, int, str], float] = {}

        def note(name: str, key: int, prompt: str, dice: float) -> None:
            self._check_stop()
            each[name, key, prompt] = dice

        evaluate(model, self._images, max_objects=MOST_OBJECTS, on_object=note)
        return each

    def worst(self) -> list[dict[str, Any]]:
        """Return the objects on which the candidate lost most against the model in use.

        Returns
        -------
        list of dict
            ``name`` of the image, ``object``, ``prompt`` (``click`` or ``box``), ``before`` and ``after`` (Dice).
        """
        lost = sorted(self.candidate, key=lambda one: (self.candidate[one] - self._before[one], one))
        return [
            {"name": name, "object": key, "prompt": prompt, "before": self._before[one], "after": self.candidate[one]}
            for one in lost[:WORST]
            for name, key, prompt in [one]
        ]

    def cases(self, model: Examinee) -> list[dict[str, Any]]:
        """Return :meth:`worst` with pictures of both answers (see :func:`naslora_trainer.sights.cases`)."""
        return cases(self._in_use, model, self.worst(), self._images)

    def automatic(self, model: Examinee, head: SeedHead | None, one_object: bool) -> Comparison | None:
        """Return how well a new head finds objects by itself beside that of the model in use, if that has one.

        Parameters
        ----------
        model : Examinee
            The new model.
        head : SeedHead or None
            Its head.
        one_object : bool
            Whether each image that it learned from had one object.

        Returns
        -------
        Comparison or None
            Of :func:`naslora_trainer.automatic.automatic_f1`. None where there is no new head, or no held-out image,
            nor a part of one, in which every object is labelled.
        """
        if head is None or not self._whole:
            return None
        live = self._live
        old = head_of(live.tensors, live.meta.classes) if live else None
        before = None
        if live and old:
            before = automatic_f1(self._in_use, old.to(self._device), self._whole, live.one_object, self._check_stop)
        after = automatic_f1(model, head, self._whole, one_object, self._check_stop)
        return found(before, after, self._labelled)

    def _of_base(self) -> dict[str, float]:
        """Measure the base model, where it is not the one in use."""
        if not self._config.compare_with:
            return self.before
        base = self._config.base
        return means(self._measured(Examinee(build(base, None, self._device), learned_prompts(base, None))))

    @cached_property
    def _in_use(self) -> Examinee:
        base, live = self._config.base, self._live
        return Examinee(build(base, live, self._device), learned_prompts(base, live), self._seen, self._check_stop)

    def rest(self) -> None:
        """Let go of the model in use while another one trains, for which the memory is; what it has seen is kept."""
        self.__dict__.pop("_in_use", None)

    @cached_property
    def _live(self) -> Adapter | None:
        return Adapter.load(Path(self._config.compare_with)) if self._config.compare_with else None

    def verdict(self, automatic: Comparison | None = None, share: float = 1.0) -> dict[str, Any]:
        """Return what is to be thought of the candidate (see :func:`naslora_trainer.verdict.overall`).

        Parameters
        ----------
        automatic : Comparison, optional
            What :meth:`automatic` says of it.
        share : float
            How far it goes from what it started from to what it learned, 0 to 1.

        Returns
        -------
        dict
            ``outcome``; ``better``: whether it is that, surely or probably; ``reason``, one sentence; ``validation``:
            for ``click`` and ``box`` the Dice of ``base``, ``before`` and ``after``, ``noise`` and ``outcome``;
            ``automatic``: the same without ``base``, or None; ``share``.
        """
        before, base = self.before, self._of_base()
        asked = [paired(kind, self._before, self.candidate) for kind in before]
        verdict, reason = overall([*asked, *filter(None, [automatic])])
        return {
            "validation": {one.kind: {"base": base[one.kind], **one.to_json()} for one in asked},
            "automatic": automatic.to_json() if automatic else None,
            "outcome": verdict,
            "better": verdict in ("better", "probably better"),
            "share": share,
            "reason": reason + _told(share),
        }

    @property
    def _labelled(self) -> int:
        """How many objects there are where every one is labelled."""
        return sum(len(ids_in(mostly_in(image.labels, there))) for image, there in self._whole)


def _told(share: float) -> str:
    """Return a sentence about a share that is not all, to go behind another sentence."""
    if share == 1:
        return ""
    if share == 0:
        return " What it learned about prompts made it worse: it answers them as what it started from."
    return f" It goes {share:.0%} of the way to what it learned, where held-out objects are answered best."


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
