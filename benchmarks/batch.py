"""Folders without a person: how good and how fast, against segment-anything's automatic mask generator.

For each target and seed the default base is fine-tuned on eight labelled images (quick preset; the seed also chooses
the images). On held-out images the same model finds all objects in three ways: ``auto`` (its head says where objects
are, the mask decoder outlines them), ``quick`` (the head's own outlines) and ``amg`` (segment-anything's mask
generator, 12 x 12 points). Then folders: one against two workers, peak memory of 100 and of 1,000 images, and of one
image of 10,000 x 10,000 pixels. Each part is a file in ``--results``, so that the benchmark goes on where it was
interrupted. Run::

    python benchmarks/batch.py --data DIR --json > batch.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

from batch_parts import RECIPE, folder, large, learn, score
from machine import machine
from naslora_trainer.files import read_json, write_json
from packs import TARGETS
from quality import SEEDS, mean_and_spread
from resume import keep_settings, parser_of, run_parts

#: Most held-out images of a target, and images of the folder that one and two workers share.
IMAGES, SHARED = 8, 60
#: How objects are found.
WAYS = ("auto", "quick", "amg")
#: What takes memory, by the key of its peak.
MEMORY = {"peak_mb_100": 100, "peak_mb_1000": 1000}


def main() -> None:
    """Measure what is missing, then print all."""
    parser = parser_of(__doc__, "batch-results")
    parser.add_argument("--targets", nargs="+", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), choices=SEEDS)
    parser.add_argument("--images", type=int, default=IMAGES, help="most held-out images of a target")
    parser.add_argument("--largest", type=int, default=max(MEMORY.values()), help="images of the largest folder")
    parser.add_argument("--workers", type=int, default=1, help="parts of targets that are measured at once")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        part = parts_of(options)[options.only]
        write_json(options.results / f"{options.only}.json", part())
        return
    keep_settings(options.results, {**RECIPE, "images": options.images, "shared": SHARED})
    names = list(parts_of(options))
    of_targets = [name for name in names if name.partition("-")[0] in ("learn", "score")]
    for some, workers in (
        ([name for name in of_targets if name.startswith("learn")], options.workers),
        ([name for name in of_targets if name.startswith("score")], options.workers),
        ([name for name in names if name not in of_targets], 1),
    ):
        commands = {options.results / f"{name}.json": command(options, name) for name in some}
        if not run_parts(commands, threads=1, workers=workers):
            sys.exit(1)
    document = summarise(
        {name: read_json(options.results / f"{name}.json") for name in names}, options.targets, options.seeds
    )
    document = {"benchmark": "batch", "machine": machine(), "recipe": RECIPE, "seeds": options.seeds, **document}
    print(json.dumps(document, indent=1) if options.json else table(document))


def parts_of(options: argparse.Namespace) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return what is measured, by the name of its file."""
    data, results = options.data, options.results
    parts: dict[str, Callable[[], dict[str, Any]]] = {}
    for target, seed in product(options.targets, options.seeds):
        parts[f"learn-{target}-{seed}"] = partial(learn, data, results, target, seed)
        parts[f"score-{target}-{seed}"] = partial(score, data, results, target, seed, options.images)
    for workers in (1, 2):
        parts[f"workers-{workers}"] = partial(folder, data, results, SHARED, workers)
    for key, count in MEMORY.items():
        if count <= options.largest:
            parts[key] = partial(folder, data, results, count, 0)
    parts["peak_mb_10k_image"] = partial(large, data, results)
    return parts


def command(options: argparse.Namespace, name: str) -> list[str]:
    """Return the command that measures one part."""
    call = [sys.executable, __file__, "--data", str(options.data), "--results", str(options.results)]
    call += ["--targets", *options.targets, "--seeds", *map(str, options.seeds)]
    return [*call, "--images", str(options.images), "--only", name]


def summarise(parts: dict[str, dict[str, Any]], targets: list[str], seeds: list[int]) -> dict[str, Any]:
    """Return the figures of the benchmark.

    Returns
    -------
    dict
        ``targets`` (by target ``f1_auto``, ``f1_quick``, ``f1_amg``, ``ap_...``, ``recall_...``, each the mean over the
        seeds; of the same keys ``over_seeds``, mean with spread, and ``by_seed``; ``images``, ``objects``, ``speed``:
        AMG's time over that of ``auto``), ``speed_ratio_amg`` and ``encode_ratio`` (of ``auto``, over all targets; with
        ``_quick`` those of ``quick``), ``over_targets`` (of the mean over the targets: mean and spread over the seeds;
        all ``images`` and ``objects``), ``scaling_2`` (how many times as fast two workers are as one),
        ``peak_mb_100``, ``peak_mb_1000``, ``peak_mb_10k_image`` and ``parts``.
    """
    scores = {target: [parts[f"score-{target}-{seed}"] for seed in seeds] for target in targets}
    every = [found for some in scores.values() for found in some]

    def seconds(way: str, some: list[dict[str, Any]] = every) -> float:
        return sum(float(found[way]["seconds"]) for found in some)

    encode = sum(float(found["encode_s"]) for found in every)
    found_by = {}
    for target, some in scores.items():
        by_seed = {
            f"{key}_{way}": [found[way][key] for found in some] for way, key in product(WAYS, ("f1", "ap", "recall"))
        }
        over_seeds = {key: mean_and_spread(values) for key, values in by_seed.items()}
        found_by[target] = {
            **{key: one["mean"] for key, one in over_seeds.items()},
            "over_seeds": over_seeds,
            "by_seed": by_seed,
            **{key: some[0][key] for key in ("images", "objects")},
            "speed": seconds("amg", some) / seconds("auto", some),
        }
    kinds = [found["by_seed"] for found in found_by.values()]
    means = {
        key: [statistics.fmean(values) for values in zip(*(kind[key] for kind in kinds), strict=True)]
        for key in kinds[0]
    }
    return {
        "targets": found_by,
        "over_targets": {
            **{key: mean_and_spread(values) for key, values in means.items()},
            **{key: sum(found[key] for found in found_by.values()) for key in ("images", "objects")},
        },
        "speed_ratio_amg": seconds("amg") / seconds("auto"),
        "speed_ratio_amg_quick": seconds("amg") / seconds("quick"),
        "encode_ratio": seconds("auto") / encode,
        "encode_ratio_quick": seconds("quick") / encode,
        "scaling_2": parts["workers-1"]["seconds"] / parts["workers-2"]["seconds"],
        **{key: part["peak_mb"] for key, part in parts.items() if key.startswith("peak_mb")},
        "parts": parts,
    }


def table(document: dict[str, Any]) -> str:
    """Return the scores as a table in Markdown."""
    lines = ["| target | F1 auto | F1 amg | AP auto | AP amg | speed |", "|---|---|---|---|---|---|"]
    for target, found in document["targets"].items():
        values = [found[key] for key in ("f1_auto", "f1_amg", "ap_auto", "ap_amg", "speed")]
        lines.append(f"| {target} | {' | '.join(f'{value:.3f}' for value in values)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
