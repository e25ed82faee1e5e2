"""What base models answer to one click and to one box, untrained, on the held-out images of the four targets.

``litemedsam`` knows boxes only: its clicks are asked as boxes of several sizes, as the window does it. Run::

    python benchmarks/click_base.py --data DIR --json > click_base.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from segment_anything.modeling import Sam

from machine import machine
from naslora_resources.registry import models
from naslora_trainer.base import fingerprint, load_base
from naslora_trainer.data import TrainingImage
from naslora_trainer.devices import pick_device
from naslora_trainer.evaluate import evaluate
from naslora_trainer.examinee import Examinee
from naslora_trainer.models import learned_prompts
from naslora_trainer.native import reuse_freed_memory
from packs import TARGETS, held_out, read_pack


def main() -> None:
    """Measure every model on every target, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the packs")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    parser.add_argument("--max-objects", type=int, help="at most so many objects of each image, evenly picked")
    parser.add_argument("--models", nargs="+", default=["litemedsam", "litemedsam-click"], choices=list(models()))
    options = parser.parse_args()
    reuse_freed_memory()
    loaded = {name: load_base(name, pick_device("auto")) for name in options.models}
    scores = {}
    for target in TARGETS:
        images = read_pack(options.data, target, held_out(target))
        scores[target] = measure(loaded, images, options.max_objects)
        print(target, scores[target], file=sys.stderr)
    document = {
        "machine": machine(),
        "max_objects": options.max_objects,
        "fingerprints": {name: fingerprint(sam) for name, sam in loaded.items()},
        "targets": scores,
    }
    print(json.dumps(document, indent=1) if options.json else table(scores, options.models))


def measure(loaded: dict[str, Sam], images: Sequence[TrainingImage], max_objects: int | None) -> dict[str, Any]:
    """Return ``images``, ``objects``, the mean Dice (0 to 1) of one ``click`` and one ``box`` by model, and ``gain``.

    ``gain`` is the last model's Dice minus the first one's, over the same objects: ``mean`` and ``standard_error``.
    """
    found: dict[str, Any] = {"images": len(images)}
    by_model: dict[str, dict[str, list[float]]] = {}
    for name, sam in loaded.items():
        dices: dict[str, list[float]] = {"click": [], "box": []}
        scores = evaluate(
            Examinee(sam, learned_prompts(name)),
            images,
            max_objects=max_objects,
            on_object=lambda _, __, prompt, dice, dices=dices: dices[prompt].append(dice),  # type: ignore[misc]
        )
        by_model[name] = dices
        found["objects"] = scores["objects"]
        found[name] = {prompt: round(float(np.mean(values)), 4) for prompt, values in dices.items()}
    first, last = (by_model[name] for name in (next(iter(loaded)), list(loaded)[-1]))
    found["gain"] = {prompt: gain(first[prompt], last[prompt]) for prompt in first}
    return found


def gain(before: Sequence[float], after: Sequence[float]) -> dict[str, float]:
    """Return ``mean`` and ``standard_error`` of the differences, object by object."""
    differences = np.subtract(after, before)
    error = float(differences.std(ddof=1) / np.sqrt(len(differences))) if len(differences) > 1 else 0.0
    return {"mean": round(float(differences.mean()), 4), "standard_error": round(error, 4)}


def table(scores: dict[str, Any], names: Sequence[str]) -> str:
    """Return the scores as a table in Markdown."""
    columns = [(name, kind) for kind in ("click", "box") for name in names]
    head = ["target", "objects", *(f"{kind}, {name}" for name, kind in columns)]
    rows = [
        [target, str(found["objects"]), *(f"{found[name][kind]:.3f}" for name, kind in columns)]
        for target, found in scores.items()
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


if __name__ == "__main__":
    main()
