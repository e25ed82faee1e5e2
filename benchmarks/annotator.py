"""How many seconds a person needs to label a folder: with the base model, or with fine-tunes, in which order.

The folder is a part of one pack, drawn by the seed; with ``--unseen`` of its held-out images alone, from which the
default model has not learned (:mod:`make_click_adapter`). The nuclei of the pack are from many laboratories, each with
its own stain, zoom and idea of where a nucleus ends; ``fields`` are of one of them: the images of 520 x 696 pixels,
each cut in four. A simulated person (:mod:`person`) labels image after image, with the model in use at hand, as it
finds objects by itself or click by click. The folder is done as soon as the mean IoU over *all* of its objects is 0.85:
of labelled images the IoU of the person's labels, of the rest that of what the model in use gives without a person (a
found object that is none counts as an object of IoU 0), or that after one click on each object, which takes the
person's time, too. What counts is the least time in which that is reached.

Persons:

- ``base``: keeps the base model; the images come in random order.
- ``finetune``: the same order; after 4, 8, 16, ... labelled images (or from ``--first`` on), while half of the folder
  is left, "Fine-tune on my labels" runs with the quick preset on the person's own labels, from the base model. The
  person goes on with the old model meanwhile: the training takes the seconds of processor time that it took here in one
  thread. The new one is used from the next image on, if the gate found it better than the one in use.
- ``unchecked``: as ``finetune``, but each new model is used, whatever the gate says of it.
- ``ranked``: as ``finetune``, but the next image is the one that the model in use suggests. The first one is the same.

The seed draws the folder, the order and the training. Each result is a file in ``--results``, and all that a model
answered is kept there, so that the benchmark goes on where it was interrupted. Run::

    python benchmarks/annotator.py --data DIR --json > annotator.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import person
from answers import Answers
from machine import machine
from naslora_napari.live.doubt import ranked
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage
from naslora_trainer.files import read_json, write_json
from packs import held_out, read_pack
from quality import SEEDS, mean_and_spread
from resume import keep_settings, parser_of, run_parts

PERSONS = ("base", "finetune", "unchecked", "ranked")
#: Images that a folder has at most, and the largest side of one in pixels: in larger ones nobody works on the whole.
IMAGES = 24
LARGEST = {"nuclei": 400, "fields": 400, "lesions": 1024, "leaf": 1024, "vessels": 1024}
#: The nuclei of one laboratory.
FIELDS = range(16, 24)
#: After so many labelled images the first fine-tune starts, if not told otherwise, and the next when there are so many
#: times as many.
FIRST, FACTOR = 4, 2


def main() -> None:
    """Simulate what is missing, then print all."""
    parser = parser_of(__doc__, "annotator-results")
    parser.add_argument("--targets", nargs="+", default=["nuclei", "lesions", "leaf"], choices=list(LARGEST))
    parser.add_argument("--persons", nargs="+", default=list(PERSONS), choices=PERSONS)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--images", type=int, default=IMAGES, help="images of a folder, at most")
    parser.add_argument("--first", type=int, default=FIRST, help="labelled images before the first fine-tune")
    parser.add_argument("--unseen", action="store_true", help="only images from which the default model did not learn")
    parser.add_argument("--only", nargs=3, metavar=("TARGET", "PERSON", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        target, who, seed = options.only
        images = folder_of(options.data, target, int(seed), options.images, options.unseen)
        one(images, options.results, target, who, int(seed), options.first)
        return
    measured_with = settings(options)
    keep_settings(options.results, measured_with)
    wanted = list(product(options.seeds, options.targets, options.persons))
    call = [sys.executable, __file__, "--data", str(options.data), "--results", str(options.results)]
    call += ["--images", str(options.images), "--first", str(options.first), *["--unseen"] * options.unseen, "--only"]
    commands = {file_of(options.results, t, who, s): [*call, t, who, str(s)] for s, t, who in wanted}
    if not run_parts(commands):
        sys.exit(1)
    runs = [read_json(path) for path in commands]
    document = {"machine": machine(), "settings": measured_with, **summarise(runs), "runs": runs}
    print(json.dumps(document, indent=1) if options.json else table(document))


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return all that the results depend on beside the code."""
    names = ("CLICK", "ACCEPT", "DELETE", "OPEN", "STROKE", "SPEED", "SCREEN", "GOAL", "CLICKS")
    return {
        "seconds": {name.lower(): getattr(person, name) for name in names},
        "images": options.images,
        "unseen": options.unseen,
        "largest": LARGEST,
        "first_training": [options.first, FACTOR],
        "preset": "quick",
    }


def file_of(results: Path, target: str, who: str, seed: int) -> Path:
    """Return the file of one result."""
    return results / f"{target}-{who}-{seed}.json"


def one(images: list[TrainingImage], results: Path, target: str, who: str, seed: int, first: int) -> None:
    """Let one person label one folder and keep how long it took."""
    simulated = Simulation(images, results, target, who, seed, first)
    started = time.monotonic()
    simulated.run()
    write_json(
        file_of(results, target, who, seed),
        {
            "target": target,
            "person": who,
            "seed": seed,
            "user_s": round(simulated.best, 1),
            "labelled": simulated.labelled_at_best,
            "images": len(images),
            "stages": simulated.stages,
            "trainings": simulated.trainings,
            "simulation_s": round(time.monotonic() - started),
        },
    )


def folder_of(data: Path, target: str, seed: int, count: int, unseen: bool = False) -> list[TrainingImage]:
    """Return the images of a folder, at most ``count``, in random order; both are drawn by the seed."""
    if target == "fields":
        frames = set(FIELDS).intersection(held_out("nuclei") if unseen else FIELDS)
        pack = [field for frame in read_pack(data, "nuclei", frames) for field in in_four(frame)]
    else:
        pack = read_pack(data, target, held_out(target) if unseen else None)
    images = [image for image in pack if max(image.labels.shape) <= LARGEST[target]]
    order = np.random.default_rng([seed, *target.encode()]).permutation(len(images))
    return [images[k] for k in order[:count]]


def in_four(frame: TrainingImage) -> list[TrainingImage]:
    """Return the quarters of an image."""
    rows, cols = (side // 2 for side in frame.labels.shape)
    windows = product((slice(rows), slice(rows, None)), (slice(cols), slice(cols, None)))
    return [
        TrainingImage(f"{frame.name}-{k}", frame.image[window], frame.labels[window], complete=True)
        for k, window in enumerate(windows)
    ]


@dataclass
class Simulation:
    """A person at work.

    Attributes
    ----------
    images : list of TrainingImage
        The folder, in random order.
    results : Path
        Where models and answers are kept.
    target, who : str
        See the module.
    seed : int
        Of the trainings.
    first : int
        So many images are labelled before the first fine-tune.
    best : float
        The least user seconds to the goal that were found so far.
    labelled_at_best : int
        How many images are labelled then.
    stages, trainings : list of dict
        What was seen after each labelled image, and of each training.
    """

    images: list[TrainingImage]
    results: Path
    target: str
    who: str
    seed: int
    first: int = FIRST
    best: float = float("inf")
    labelled_at_best: int = 0
    stages: list[dict[str, Any]] = field(default_factory=list)
    trainings: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = 0.0
        self.done: dict[str, person.Work] = {}
        self.model = Answers(self.results / "answers" / self.target)
        #: The model that is being trained, if it will be used, and when it is ready.
        self.coming: tuple[Answers | None, float] | None = None

    def run(self) -> None:
        """Label until no more labelling can be faster than what was found."""
        self._look()
        while len(self.done) < len(self.images) and self.clock < self.best:
            self._swap()
            image = self._next()
            work = self.model.work(image)
            self.clock += work.seconds
            self.done[image.name] = work
            self._swap()
            self._look(image.name, work)
            if self.who != "base" and self.clock < self.best and self._worth_training():
                self._train()

    def _worth_training(self) -> bool:
        enough = len(self.done) >= self.first * FACTOR ** len(self.trainings)
        return enough and self.coming is None and len(self.done) <= len(self.images) / 2

    def _swap(self) -> None:
        if self.coming is not None and self.clock >= self.coming[1]:
            self.model = self.coming[0] or self.model
            self.coming = None

    def _rest(self) -> list[TrainingImage]:
        return [image for image in self.images if image.name not in self.done]

    def _next(self) -> TrainingImage:
        rest = self._rest()
        if self.who != "ranked" or not self.done:
            return rest[0]
        doubts = {image.name: self.model.doubt(image) for image in self.images}
        first = ranked(doubts, 1, chosen=list(self.done))[0]
        return next(image for image in rest if image.name == first)

    def _look(self, name: str = "", work: person.Work | None = None) -> None:
        """Take note of how good the folder is now, with the rest automatic or clicked."""
        rest = [self.model.rest(image) for image in self._rest()]
        labelled = [iou for one in self.done.values() for iou in one.ious]
        means = {}
        for way in ("automatic", "one_click"):
            means[way] = float(np.mean(labelled + [iou for each in rest for iou in each[way]]))
            more = sum(each["seconds"][0] for each in rest) if way == "one_click" else 0.0
            if means[way] >= person.GOAL and self.clock + more < self.best:
                self.best, self.labelled_at_best = self.clock + more, len(self.done)
        stage: dict[str, Any] = {"clock": round(self.clock, 1), "model": self.model.version}
        stage |= {way: round(mean, 4) for way, mean in means.items()}
        if work is not None:
            stage |= {"image": name, "objects": len(work.ious), "seconds": round(work.seconds, 1), "way": work.way}
        self.stages.append(stage)
        print(self.target, self.who, self.seed, stage, file=sys.stderr, flush=True)

    def _train(self) -> None:
        """Start a fine-tune on all that is labelled. What it gives is known at once here, and used when it is ready."""
        from naslora_trainer.train import finetune

        digest = hashlib.sha256(f"{self.seed} {self.model.version}".encode())
        for name, work in self.done.items():
            digest.update(name.encode() + work.labels.tobytes())
        file = self.results / "adapters" / f"{self.target}-{self.seed}-{digest.hexdigest()[:12]}.safetensors"
        if not file.exists():
            config = FineTuneConfig.checked(
                preset="quick",
                seed=self.seed,
                device="cpu",
                shown_images=0,
                compare_with=str(self.model.adapter or ""),
            )
            by_name = {image.name: image for image in self.images}
            images = [
                TrainingImage(name, by_name[name].image, work.labels, complete=True) for name, work in self.done.items()
            ]
            begun = time.process_time()
            adapter = finetune(config, images)
            assert adapter is not None
            adapter.meta.report["cpu_s"] = time.process_time() - begun
            file.parent.mkdir(parents=True, exist_ok=True)
            adapter.save(file)
        trained = Answers(self.results / "answers" / self.target, file)
        report = trained.report
        used = report["better"] or self.who == "unchecked"
        self.coming = (trained if used else None, self.clock + report["cpu_s"])
        self.trainings.append(
            {
                "images": len(self.done),
                "clock": round(self.clock, 1),
                **{key: report[key] for key in ("cpu_s", "train_s", "better", "validation")},
            }
        )
        print(self.trainings[-1], file=sys.stderr, flush=True)


def summarise(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return by how much the person is faster, over targets and seeds, and for each target.

    Returns
    -------
    dict
        ``speedup_finetune``: seconds with the base model / with fine-tunes, both in the same random order;
        ``speedup_unchecked``: the same without the gate; ``speedup_ranked``: with fine-tunes in random order / in the
        order that is suggested. Each ``mean`` and
        ``spread`` (sample standard deviation) over all pairs of target and seed, ``n`` of them, and the same by target.
    """
    seconds = {(run["target"], run["seed"], run["person"]): run["user_s"] for run in runs}
    return {
        "speedup_finetune": _ratios(seconds, "base", "finetune"),
        "speedup_unchecked": _ratios(seconds, "base", "unchecked"),
        "speedup_ranked": _ratios(seconds, "finetune", "ranked"),
    }


def _ratios(seconds: dict[tuple[str, int, str], float], slow: str, fast: str) -> dict[str, Any]:
    found: dict[str, list[float]] = {}
    for target, seed, who in seconds:
        if who == slow and (target, seed, fast) in seconds:
            found.setdefault(target, []).append(seconds[target, seed, slow] / seconds[target, seed, fast])
    if not found:
        return {}
    every = [ratio for some in found.values() for ratio in some]
    by_target = {target: {**mean_and_spread(some), "n": len(some)} for target, some in found.items()}
    return {**mean_and_spread(every), "n": len(every), "targets": by_target}


def table(document: dict[str, Any]) -> str:
    """Return all as a Markdown table."""
    lines = ["| target | seed | person | user seconds | labelled images |", "|---|---|---|---|---|"]
    for run in sorted(document["runs"], key=lambda one: (one["target"], one["seed"])):
        count = f"{run['labelled']} of {run['images']}"
        lines.append(f"| {run['target']} | {run['seed']} | {run['person']} | {run['user_s']:.0f} | {count} |")
    for key in ("speedup_finetune", "speedup_unchecked", "speedup_ranked"):
        if document[key]:
            lines.append(f"{key}: {document[key]['mean']:.2f} +- {document[key]['spread']:.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
