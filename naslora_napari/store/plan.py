"""What a fine-tune of a project would learn from, and for how long, told before it starts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslora_resources.registry import DEFAULT_MODEL, models
from naslora_trainer.__main__ import REPORT
from naslora_trainer.config import Preset
from naslora_trainer.data import GUESSED_BACKGROUND, MARK_BACKGROUND, as_much_nothing
from naslora_trainer.errors import UserError
from naslora_trainer.files import read_json
from naslora_trainer.splits import split_objects

from .snapshots import around_clicks, clicks_beside

if TYPE_CHECKING:
    from .project import Project

#: From so many objects on a preset can be worth its time.
ENOUGH_FOR: dict[Preset, int] = {"standard": 20, "thorough": 300}


@dataclass(frozen=True)
class TrainingPlan:
    """What a fine-tune would learn from.

    Attributes
    ----------
    images, objects : int
        How many have labels, and how many labels there are.
    classes : mapping of str to int
        Objects of each class.
    held_out : int
        Objects that only judge.
    by_image : bool
        Whether they are in images of their own.
    ignored : tuple of str
        What is not learned from and why, a sentence each.
    background : bool
        Whether somewhere all objects are labelled, so that what is left there is background.
    """

    images: int
    objects: int
    classes: Mapping[str, int]
    held_out: int
    by_image: bool
    ignored: tuple[str, ...]
    background: bool

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What a person reads of it: a title and a text each."""
        where = "in images of their own" if self.by_image else "in the same images, since there are fewer than four"
        share = round(100 * self.held_out / self.objects)
        return [
            ("Labels", f"{self.objects} objects in {_images(self.images)}"),
            ("Classes", ", ".join(f"{name}: {count}" for name, count in self.classes.items())),
            ("Learned from", f"{self.objects - self.held_out} objects"),
            ("Held out", f"{self.held_out} objects ({share} %) judge the result, {where}"),
            *(("Ignored", text) for text in self.ignored),
            *([] if self.background else [("Background", f"{GUESSED_BACKGROUND} {MARK_BACKGROUND}.")]),
        ]


def suggested_preset(device: str, objects: int) -> Preset:
    """Return how long to train: short where there is no GPU, longer where there is one and enough to learn.

    Parameters
    ----------
    device : str
        A torch device name.
    objects : int
        How many there are.
    """
    if device.partition(":")[0] not in ("cuda", "mps") or objects < ENOUGH_FOR["standard"]:
        return "quick"
    return "thorough" if objects >= ENOUGH_FOR["thorough"] else "standard"


def plan_of(project: Project) -> TrainingPlan:
    """Return what a fine-tune of the labels as they are now would learn from; reads all annotation files.

    Raises
    ------
    UserError
        There are too few objects, or an annotation file is damaged.
    """
    summary = project.summary()
    classes = {info.id: info.name for info in project.classes}
    counts: Counter[str] = Counter()
    objects: list[tuple[str, int]] = []
    sources: dict[Path, str] = {}
    partly, background = 0, False
    for entry in project.images:
        source = sources.setdefault(entry.path, entry.name)
        status = project.status(entry.name)
        if status.objects:
            everything = project.annotation(entry.name)
            found = everything.accepted()
            objects += [(source, key) for key in found.objects]
            counts.update(classes[info.class_id] for info in found.objects.values())
            partly += not found.complete
            nothing = around_clicks(clicks_beside(found), everything.labels)
            background |= found.complete or bool(found.marks.rois) or as_much_nothing(nothing, found.labels)
    by_image, _, held = split_objects(objects)
    ignored = []
    if empty := summary.images - summary.annotated:
        ignored.append(f"{_images(empty)} {'has' if empty == 1 else 'have'} no objects yet")
    if partly:
        ignored.append(
            f"what is not outlined in {_images(partly)} not marked complete: background is only where you clicked so"
        )
    return TrainingPlan(summary.annotated, len(objects), dict(counts), len(held), by_image, tuple(ignored), background)


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


@dataclass(frozen=True)
class Pace:
    """How long a training takes: what it costs at its beginning and end, and for each step, in seconds."""

    around_s: float
    step_s: float

    def seconds(self, steps: int) -> float:
        """Return about how long ``steps`` steps take."""
        return self.around_s + steps * self.step_s


#: How many times as long a larger image encoder takes, about: as many times the operations.
TIMES = {"vit_b": 10.0, "vit_l": 30.0, "vit_h": 60.0}
#: Where nothing was trained yet: eight small images on two cores of a server, LiteMedSAM.
FIRST_GUESS = Pace(55.0, 1.4)


def pace_of(project: Project, base: str = DEFAULT_MODEL) -> Pace:
    """Return how long the last training of a project took that began with a base model, or a guess where none did."""
    for run in reversed(project.runs()):
        try:
            report = read_json(run / REPORT)
        except UserError:
            continue
        pace = _pace(report, base)
        if pace is not None:
            return pace
    entry = models().get(base)
    longer = TIMES.get(entry.architecture, 1.0) if entry else 1.0
    return Pace(FIRST_GUESS.around_s * longer, FIRST_GUESS.step_s * longer)


def _pace(report: Any, base: str) -> Pace | None:
    """Return what a report says, where it does and is of a training of that base model."""
    if not isinstance(report, dict):
        return None
    config = report.get("config")
    if not isinstance(config, dict) or config.get("base") != base:
        return None
    whole, busy, steps = (report.get(name) for name in ("train_s", "busy_s", "steps"))
    if not isinstance(whole, int | float) or not isinstance(busy, int | float) or not isinstance(steps, int):
        return None
    return Pace(whole - busy, busy / steps) if 0 < busy <= whole < math.inf and 0 < steps <= 10**6 else None
