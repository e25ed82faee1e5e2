"""How much of what was learned a fine-tune keeps, and what that gives on images that it has not seen.

The default fine-tune (quick preset) of eight labelled images, without and with :mod:`naslora_trainer.interpolation`:
the share is chosen on the training's own validation objects, and the held-out images of :mod:`packs` judge what it
started from, all of what was learned, and the share. Each result is a file in ``--results``, with the adapter beside
it. Run::

    python benchmarks/kept_share.py --data DIR --json > kept_share.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machine import machine
from naslora_trainer.adapter import Adapter
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage
from naslora_trainer.files import read_json, write_json
from naslora_trainer.gate import MOST_OBJECTS
from naslora_trainer.interpolation import SHARES, best_share
from naslora_trainer.verdict import Each
from packs import TARGETS, held_out, labelled, read_pack
from quality import SEEDS, mean_and_spread
from resume import keep_settings, parser_of, run_parts

METHODS = ("nas-lora", "lora")
CLICKS = 3
#: Of what the training learned: nothing, what it keeps, and everything.
WAYS = ("start", "kept", "all")
MEASURES = ("click_1", "click_3", "box")
RECIPE: dict[str, Any] = {"interpolate": False, "seed_head": False, "shown_images": 0, "precision": "bfloat16"}


def main() -> None:
    """Train and measure what is missing, then print all."""
    parser = parser_of(__doc__, "kept-share")
    parser.add_argument("--targets", nargs="+", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--only", nargs=3, metavar=("TARGET", "METHOD", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        target, method, seed = options.only
        one(options.data, options.results, target, method, int(seed))
        return
    keep_settings(options.results, RECIPE)
    call = [sys.executable, __file__, "--data", str(options.data), "--results", str(options.results), "--only"]
    commands = {
        options.results / f"{target}-{method}-{seed}.json": [*call, target, method, str(seed)]
        for seed, target, method in itertools.product(options.seeds, options.targets, options.methods)
    }
    if not run_parts(commands, workers=options.workers):
        sys.exit(1)
    runs = [read_json(path) for path in commands]
    summary = summarise(runs)
    if options.json:
        print(json.dumps({"machine": machine(), "recipe": RECIPE, "summary": summary, "runs": runs}, indent=1))
        return
    for method, targets in summary.items():
        for target, row in targets.items():
            print(method, target, row["shares"], {way: row[way]["click_1"]["mean"] for way in WAYS}, sep="  ")


def one(data: Path, results: Path, target: str, method: str, seed: int) -> None:
    """Train one method on one target and keep what each way gives on the held-out images."""
    from naslora_trainer.native import reuse_freed_memory
    from naslora_trainer.splits import split_images
    from naslora_trainer.train import finetune

    reuse_freed_memory()
    images = read_pack(data, target, labelled(target, seed))
    kept = results / f"{target}-{method}-{seed}.safetensors"
    if not kept.exists():
        config = FineTuneConfig.checked(method=method, seed=seed, cache_mb=0, **RECIPE)
        adapter = finetune(config, images, scratch=results / "features")
        assert adapter is not None
        adapter.save(kept)
    adapter = Adapter.load(kept)
    split = split_images(images)
    validation = {share: dice(scaled(adapter, share), split.validation) for share in SHARES}
    share = best_share({at: each for at, (_, each) in validation.items()})
    judges = read_pack(data, target, held_out(target))
    found = {at: dice(scaled(adapter, at), judges)[0] for at in {0.0, share, 1.0}}
    ways = dict(zip(WAYS, (found[0.0], found[share], found[1.0]), strict=True))
    result = {"target": target, "method": method, "seed": seed, "share": share, **ways}
    result["validation"] = {str(at): means for at, (means, _) in validation.items()}
    write_json(results / f"{target}-{method}-{seed}.json", result)


def scaled(adapter: Adapter, share: float) -> Adapter:
    """Return an adapter with a share of what it changes."""
    changes = {name for name in adapter.tensors if name.startswith("decoder.") or name.endswith(".up")}
    tensors = {name: tensor * share if name in changes else tensor for name, tensor in adapter.tensors.items()}
    return Adapter(tensors, adapter.meta)


def dice(adapter: Adapter, images: Sequence[TrainingImage]) -> tuple[dict[str, float], Each]:
    """Return the mean Dice on images, by measure, and that of each object."""
    from naslora_trainer.evaluate import evaluate
    from naslora_trainer.examinee import Examinee
    from naslora_trainer.models import build

    each: dict[tuple[str, int, str], float] = {}

    def note(name: str, key: int, prompt: str, value: float) -> None:
        each[name, key, prompt] = value

    model = Examinee(build(adapter.meta.base, adapter), adapter.meta.prompts)
    scores = evaluate(model, images, clicks=CLICKS, max_objects=MOST_OBJECTS, on_object=note)
    clicks = scores["point"]["dice"]
    values = (clicks[0], clicks[2], scores["box"]["dice"])
    return {name: float(value) for name, value in zip(MEASURES, values, strict=True)}, each


def summarise(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return by method and target the shares that were kept, and mean and spread of each measure, by way."""
    summary: dict[str, Any] = {}
    for method, target in dict.fromkeys((run["method"], run["target"]) for run in runs):
        those = [run for run in runs if (run["method"], run["target"]) == (method, target)]
        row: dict[str, Any] = {
            way: {name: mean_and_spread([run[way][name] for run in those]) for name in MEASURES} for way in WAYS
        }
        summary.setdefault(method, {})[target] = {"shares": [run["share"] for run in those], **row}
    return summary


if __name__ == "__main__":
    main()
