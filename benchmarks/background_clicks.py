"""What clicks on the background teach the head that finds objects, where no image is complete.

Each of the eight nuclei images of a seed keeps four of its labels. The fine-tune is the same for all ways; then a head
is trained on its embeddings: without clicks, with one click beside each label where nothing is, with one anywhere
beside it (some are on neighbours that nobody has labelled), or with all labels. Each is judged on the held-out images.
Run::

    python benchmarks/background_clicks.py --data DIR --seeds 0 1 > background_clicks.json
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from machine import machine
from naslora_napari.store.snapshots import around_clicks
from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.automatic import automatic_f1
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage, objects_of
from naslora_trainer.examinee import Examinee
from naslora_trainer.frames import input_of
from naslora_trainer.models import build
from naslora_trainer.seed_head import shrunk
from naslora_trainer.seed_training import train_head
from naslora_trainer.train import finetune
from packs import held_out, labelled, read_pack

TARGET, KEPT = "nuclei", 4


def main() -> None:
    """Measure each way for each seed, and print all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    options = parser.parse_args()
    runs = [measure(options.data, seed) for seed in options.seeds]
    mean = {way: float(np.mean([run[way] for run in runs])) for way in ("none", "clicks", "beside", "complete")}
    print(json.dumps({"machine": machine(), "target": TARGET, "kept": KEPT, "summary": mean, "runs": runs}, indent=1))


def measure(data: Path, seed: int) -> dict[str, Any]:
    """Return the F1 at IoU 0.5 of the objects that the head of each way finds."""
    whole = read_pack(data, TARGET, labelled(TARGET, seed))
    few = [sparse(image, np.random.default_rng([seed, k])) for k, image in enumerate(whole)]
    config = FineTuneConfig.checked(base=DEFAULT_MODEL, preset="quick", seed=seed, shown_images=0, seed_head=False)
    adapter = finetune(config, few)
    assert adapter is not None
    sam = build(DEFAULT_MODEL, adapter, "cpu")
    known: dict[tuple[str, int], tuple[torch.Tensor, torch.Tensor]] = {}

    @torch.no_grad()
    def embed(image: TrainingImage, turn: int) -> tuple[torch.Tensor, torch.Tensor]:
        key = image.name, turn
        if key not in known:
            seen = input_of(sam, image, turn)
            known[key] = sam.image_encoder(seen), shrunk(seen)
        return known[key]

    tests = read_pack(data, TARGET, held_out(TARGET))
    ways = {
        "none": few,
        "clicks": [clicked(image, full, seed, True) for image, full in zip(few, whole, strict=True)],
        "beside": [clicked(image, full, seed, False) for image, full in zip(few, whole, strict=True)],
        "complete": whole,
    }
    found: dict[str, Any] = {"seed": seed, "objects": sum(len(objects_of(image)) for image in few)}
    for way, images in ways.items():
        head = train_head(images, embed, sam.image_encoder.img_size, config.steps, seed)
        assert head is not None
        found[way] = automatic_f1(Examinee(sam, ()), head, [(test, test.known) for test in tests], one_object=False)
    return found


def sparse(image: TrainingImage, rng: np.random.Generator) -> TrainingImage:
    """Return an image of which a few labels are left."""
    kept = rng.permutation(objects_of(image))[:KEPT]
    labels = np.where(np.isin(image.labels, kept), image.labels, 0).astype(np.int32)
    return replace(image, labels=labels, complete=False)


def clicked(image: TrainingImage, whole: TrainingImage, seed: int, exact: bool) -> TrainingImage:
    """Return an image with a click beside each label, no farther than it is wide; ``exact``: where nothing is."""
    rng = np.random.default_rng([seed, len(objects_of(whole))])
    clicks = []
    for key in objects_of(image):
        mask = image.labels == key
        away = ndimage.distance_transform_edt(~mask)
        near = (away > 2) & (away < 2 + np.sqrt(mask.sum()))
        places = np.argwhere(near & (whole.labels == 0) if exact else near & ~mask)
        if len(places):
            clicks.append(places[rng.integers(len(places))])
    return replace(image, nothing=around_clicks(np.array(clicks, float).reshape(-1, 2), image.labels))


if __name__ == "__main__":
    main()
