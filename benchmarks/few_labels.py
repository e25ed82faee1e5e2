"""Training on images of which only three cells are labelled, against the same images labelled in full.

Each of the eight nuclei images of a seed keeps three of its labels, or all. They are trained on with the recipe of
:mod:`quality`, and judged on the held-out images. Each result is a file in ``--results``. Run::

    python benchmarks/few_labels.py --data DIR --json > few_labels.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from machine import machine
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage, objects_of
from naslora_trainer.files import read_json, write_json
from packs import held_out, labelled, read_pack
from quality import CLICKS, MEASURES, MOST_OBJECTS, RECIPE, SEEDS, mean_and_spread
from resume import keep_settings, parser_of, run_parts

TARGET, METHOD, KEPT = "nuclei", "nas-lora", 3
#: How many labels of each image stay; None: all.
WAYS = {"three": KEPT, "all": None}


def main() -> None:
    """Train and measure what is missing, then print all."""
    parser = parser_of(__doc__, "few-labels")
    parser.add_argument("--steps", type=int, default=RECIPE["steps"])
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--only", nargs=2, metavar=("WAY", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        way, seed = options.only
        one(options.data, options.results, way, int(seed), options.steps)
        return
    settings = {**RECIPE, "steps": options.steps, "method": METHOD, "kept": KEPT}
    keep_settings(options.results, settings)
    call = [sys.executable, __file__, "--data", str(options.data), "--results", str(options.results)]
    call += ["--steps", str(options.steps)]
    files = {(way, seed): options.results / f"{way}-{seed}.json" for seed, way in itertools.product(SEEDS, WAYS)}
    commands = {file: [*call, "--only", way, str(seed)] for (way, seed), file in files.items()}
    if not run_parts(commands, workers=options.workers):
        sys.exit(1)
    found = [read_json(file) for file in files.values()]
    summary = {
        way: {name: mean_and_spread([run[name] for run in found if run["way"] == way]) for name in MEASURES}
        for way in WAYS
    }
    if options.json:
        document = {"machine": machine(), "recipe": settings, "summary": summary, "runs": found}
        print(json.dumps(document, indent=1))
        return
    for way, row in summary.items():
        print(way, *(f"{name} {value['mean']:.3f} +- {value['spread']:.3f}" for name, value in row.items()), sep="  ")


def one(data: Path, results: Path, way: str, seed: int, steps: int) -> None:
    """Train one way with one seed and keep how good it is."""
    from naslora_trainer.evaluate import evaluate
    from naslora_trainer.examinee import Examinee
    from naslora_trainer.models import build
    from naslora_trainer.native import reuse_freed_memory
    from naslora_trainer.train import finetune

    reuse_freed_memory()
    images = [with_labels(image, seed, WAYS[way]) for image in read_pack(data, TARGET, labelled(TARGET, seed))]
    config = FineTuneConfig.checked(
        method=METHOD, seed=seed, cache_mb=0, shown_images=0, seed_head=False, **{**RECIPE, "steps": steps}
    )
    adapter = finetune(config, images, scratch=results / "features")
    assert adapter is not None
    judges = read_pack(data, TARGET, held_out(TARGET))
    model = Examinee(build(RECIPE["base"], adapter), adapter.meta.prompts)
    scores = evaluate(model, judges, clicks=CLICKS, max_objects=MOST_OBJECTS)
    result: dict[str, Any] = {"way": way, "seed": seed, **{name: float(get(scores)) for name, get in MEASURES.items()}}
    write_json(results / f"{way}-{seed}.json", result)


def with_labels(image: TrainingImage, seed: int, count: int | None) -> TrainingImage:
    """Return an image with ``count`` of its labels (None: all), drawn by ``seed`` and its name."""
    if count is None:
        return image
    ids = np.array(objects_of(image))
    kept = np.random.default_rng([seed, *image.name.encode()]).permutation(ids)[:count]
    labels = np.where(np.isin(image.labels, kept), image.labels, 0).astype(np.int32)
    return replace(image, labels=labels, complete=False)


if __name__ == "__main__":
    main()
