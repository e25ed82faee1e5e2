"""Which method learns most from eight labelled images: every method on every target with three seeds.

Each method is the same loop on the same data with the same steps, prompts, rank and layers; one flag differs. Training
images and held-out images are those of :mod:`packs`; settings are chosen on free ones (``--judges free``). Each result
is a file of its own in ``--results``, so that the benchmark goes on where it was interrupted. Run::

    python benchmarks/quality.py --data DIR --json > quality.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from machine import machine
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.errors import UserError
from naslora_trainer.files import read_json, write_json
from packs import TARGETS, free, held_out, labelled, read_pack
from resume import keep_settings, parser_of, run_parts

METHODS = ("nas-lora", "nas-pc-lora", "conv-lora", "conv-lora-experts", "lora", "decoder-only")
SEEDS = (0, 1, 2)
#: Clicks that are simulated on each held-out object, and most objects of an image.
CLICKS, MOST_OBJECTS = 5, 12
#: What is measured, and how it is found in the scores.
MEASURES = {
    "click_1": lambda scores: scores["point"]["dice"][0],
    "click_3": lambda scores: scores["point"]["dice"][2],
    "box": lambda scores: scores["box"]["dice"],
    "noc85": lambda scores: scores["point"]["noc85"],
}
#: The base knows boxes only: the one that clicks has learned it on these very images. One precision for all, whatever
#: a busy machine would choose. All of what each method learned is kept, or it would be judged by how much is.
RECIPE: dict[str, Any] = {
    "base": "litemedsam",
    "steps": 64,
    "prompts_per_step": 6,
    "rank": 4,
    "blocks": 4,
    "precision": "bfloat16",
    "interpolate": False,
    "adapter_lr": 2e-3,
    "cell_sees": "window",
    "settle_share": 0.3,
}
#: What of it can be chosen by an option of the same name, the same for all methods.
CHOSEN = ("steps", "cell_sees", "settle_share")
#: The images that judge, by target and seed.
JUDGES: dict[str, Callable[[str, int], tuple[int, ...]]] = {
    "held-out": lambda target, _: held_out(target),
    "free": free,
}


def main() -> None:
    """Train and measure what is missing, then print all."""
    parser = parser_of(__doc__, "quality-results")
    parser.add_argument("--targets", nargs="+", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=[*METHODS, "frozen"])
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--steps", type=int, default=RECIPE["steps"])
    parser.add_argument(
        "--adapter-lr", nargs="+", default=[str(RECIPE["adapter_lr"])], metavar="[TARGET/METHOD=]RATE",
        help="learning rate of the projections: of all, of a target, of a method, of both",
    )  # fmt: skip
    parser.add_argument("--cell-sees", default=RECIPE["cell_sees"], choices=["window", "map"])
    parser.add_argument(
        "--settle-share", type=float, default=RECIPE["settle_share"], help="0.4: nothing is folded, the branch is kept"
    )
    parser.add_argument("--judges", default="held-out", choices=JUDGES, help="the images that are asked")
    parser.add_argument(
        "--workers", type=int, default=max(1, (os.cpu_count() or 1)), help="processes of one thread each"
    )
    parser.add_argument("--only", nargs=3, metavar=("TARGET", "METHOD", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        target, method, seed = options.only
        one(options, target, method, int(seed))
        return
    asked = {"judges": options.judges, "clicks": CLICKS, "objects": MOST_OBJECTS}
    keep_settings(options.results, {**recipe_of(options), **asked})
    wanted = list(itertools.product(options.seeds, options.targets, options.methods))
    commands = {file_of(options.results, t, m, s): command(options, t, m, s) for s, t, m in wanted}
    if not run_parts(commands, threads=1, workers=options.workers):  # one thread each: they would wait for each other
        sys.exit(1)
    found = [read_json(path) for path in commands]
    summary = summarise(found, options.targets, options.methods)
    document = {
        "machine": machine(),
        "recipe": recipe_of(options),
        "judges": options.judges,
        "summary": summary,
        "nas_lora_against": {
            method: {**against(summary, method), "same_images": paired(found, method)}
            for method in options.methods
            if method != "nas-lora"
        },
        "runs": found,
    }
    print(json.dumps(document, indent=1) if options.json else table(summary))


def recipe_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of every fine-tune; the learning rate of the projections by target and method."""
    chosen = {name: getattr(options, name) for name in CHOSEN}
    return {**RECIPE, **chosen, "adapter_lr": rates_of(options.adapter_lr)}


def rates_of(words: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the learning rate by target and method, of words of which later ones go before earlier ones.

    Parameters
    ----------
    words : sequence of str
        Like ``0.008``, ``lora=0.004``, ``vessels=0.008`` or ``vessels/nas-lora=0.016``.

    Raises
    ------
    UserError
        One has no number, or names what is neither a target nor a method.
    """
    rates = {target: dict.fromkeys(METHODS, float(RECIPE["adapter_lr"])) for target in TARGETS}
    for word in words:
        where, _, rate = word.rpartition("=")
        names = set(where.split("/")) - {""}
        try:
            number = float(rate)
        except ValueError:
            raise UserError(f"{word} is no learning rate.", "Write 0.008 or vessels/nas-lora=0.016.") from None
        if unknown := names - {*TARGETS, *METHODS}:
            raise UserError(
                f"{min(unknown)} is no target and no method.", f"There are {', '.join([*TARGETS, *METHODS])}."
            )
        for target, method in itertools.product(TARGETS, METHODS):
            if names <= {target, method}:
                rates[target][method] = number
    return rates


def file_of(results: Path, target: str, method: str, seed: int) -> Path:
    """Return the file of one result."""
    return results / f"{target}-{method}-{seed}.json"


def command(options: argparse.Namespace, target: str, method: str, seed: int) -> list[str]:
    """Return the command that computes one result."""
    call = [sys.executable, __file__, "--data", str(options.data), "--results", str(options.results)]
    for name in CHOSEN:
        call += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    call += ["--judges", options.judges, "--adapter-lr", *options.adapter_lr]
    return [*call, "--only", target, method, str(seed)]


def one(options: argparse.Namespace, target: str, method: str, seed: int) -> None:
    """Train one method on one target and keep how good it is on the images that judge."""
    from naslora_trainer.base import load_base
    from naslora_trainer.evaluate import evaluate
    from naslora_trainer.examinee import Examinee
    from naslora_trainer.models import build, learned_prompts
    from naslora_trainer.native import reuse_freed_memory
    from naslora_trainer.train import finetune

    reuse_freed_memory()
    recipe = recipe_of(options)
    judges = read_pack(options.data, target, JUDGES[options.judges](target, seed))
    result: dict[str, Any] = {"target": target, "method": method, "seed": seed}
    if method == "frozen":
        sam, learned = load_base(recipe["base"]), learned_prompts(recipe["base"])
    else:
        recipe["adapter_lr"] = recipe["adapter_lr"][target][method]
        config = FineTuneConfig.checked(method=method, seed=seed, cache_mb=0, shown_images=0, seed_head=False, **recipe)
        images = read_pack(options.data, target, labelled(target, seed))
        adapter = finetune(config, images, scratch=options.results / "features")
        assert adapter is not None
        report = adapter.meta.report
        result |= {key: report[key] for key in ("validation", "better", "fold", "busy_s", "peak_mb")}
        result["architecture"] = adapter.meta.architecture
        sam, learned = build(recipe["base"], adapter), adapter.meta.prompts
    scores = evaluate(Examinee(sam, learned), judges, clicks=CLICKS, max_objects=MOST_OBJECTS)
    result |= {"objects": scores["objects"], **{name: float(find(scores)) for name, find in MEASURES.items()}}
    write_json(file_of(options.results, target, method, seed), result)


def summarise(runs: Sequence[dict[str, Any]], targets: Sequence[str], methods: Sequence[str]) -> dict[str, Any]:
    """Return mean and spread (sample standard deviation over seeds) by method and target, and the mean over targets."""
    summary: dict[str, Any] = {}
    for method in methods:
        rows: dict[str, Any] = {}
        for target in targets:
            some = [run for run in runs if run["method"] == method and run["target"] == target]
            rows[target] = {name: mean_and_spread([run[name] for run in some]) for name in MEASURES}
        rows["mean"] = {name: float(np.mean([rows[target][name]["mean"] for target in targets])) for name in MEASURES}
        summary[method] = rows
    return summary


def against(summary: dict[str, Any], method: str, measure: str = "click_1") -> dict[str, Any]:
    """Return by how much NAS-LoRA is above ``method``, by target, and where by more than the larger of both spreads."""
    ours, theirs = summary.get("nas-lora", {}), summary[method]
    targets = [target for target in ours if target != "mean"]
    gains = {target: ours[target][measure]["mean"] - theirs[target][measure]["mean"] for target in targets}
    spreads = {target: max(rows[target][measure]["spread"] for rows in (ours, theirs)) for target in targets}
    above = [target for target in targets if gains[target] > spreads[target]]
    return {"gain": gains, "spread": spreads, "above_by_more_than_spread": above}


def paired(runs: Sequence[dict[str, Any]], method: str, measure: str = "click_1") -> dict[str, Any]:
    """Return by how much NAS-LoRA is above ``method`` on the same images: mean and spread of the differences.

    A seed also chooses the images, and most of the spread of :func:`against` is what images differ in.
    """
    found: dict[str, Any] = {}
    for target in dict.fromkeys(run["target"] for run in runs):
        ours, theirs = (
            {run["seed"]: run[measure] for run in runs if (run["method"], run["target"]) == (name, target)}
            for name in ("nas-lora", method)
        )
        both = sorted(ours.keys() & theirs.keys())
        if both:
            found[target] = mean_and_spread([ours[seed] - theirs[seed] for seed in both])
    return found


def mean_and_spread(values: Sequence[float]) -> dict[str, float]:
    """Return mean and sample standard deviation (0 for one value)."""
    return {"mean": float(np.mean(values)), "spread": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0}


def table(summary: dict[str, Any]) -> str:
    """Return the summary as a Markdown table: mean +- spread."""
    lines = ["| method | target | one click | three clicks | box | clicks to IoU 0.85 |", "|---|---|---|---|---|---|"]
    for method, rows in summary.items():
        for target, row in rows.items():
            cells = [
                f"{value:.3f}" if isinstance(value, float) else f"{value['mean']:.3f} +- {value['spread']:.3f}"
                for value in row.values()
            ]
            lines.append(f"| {method} | {target} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
