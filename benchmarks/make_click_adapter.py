"""Train the general click adapter that ships in ``resources/``: LiteMedSAM knows boxes, with it also clicks.

Data: the images of the packs ``dsb2018_nuclei`` (CC0) and ``coffee_leaf_lesions`` (MIT; lesions and leaves) whose
number is not ``4 k + 2``; those are held out and judge it. Every other nuclei image is cut to its quarter with the most
nuclei, so that objects are seen at two sizes. Run::

    python benchmarks/make_click_adapter.py --data DIR --out click.safetensors
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage, objects_of
from naslora_trainer.native import reuse_freed_memory
from naslora_trainer.train import finetune
from packs import TARGETS, held_out, read_pack

#: What it is trained on.
SOURCES = ("nuclei", "lesions", "leaf")
RECIPE: dict[str, Any] = {
    "method": "nas-lora",
    "base": "litemedsam",
    "decoder": "lora",
    "alternatives": True,  # a click on a leaf can mean a lesion or the leaf
    "decoder_rank": 16,
    "decoder_lr": 2e-3,
    "steps": 800,
    "prompts_per_step": 6,
    "box_share": 0.4,
    "cache_mb": 0,
}


def main() -> None:
    """Train and write the adapter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the packs")
    parser.add_argument("--out", type=Path, required=True, help="the adapter file to write")
    options = parser.parse_args()
    reuse_freed_memory()
    images = [image for target in SOURCES for image in read(options.data, target)]
    adapter = finetune(FineTuneConfig.checked(**RECIPE), images, lambda event: print(json.dumps(event), flush=True))
    assert adapter is not None
    adapter.save(options.out)
    print(json.dumps(adapter.meta.report["validation"]), options.out.stat().st_size, "bytes")


def read(data: Path, target: str) -> list[TrainingImage]:
    """Return the images of ``target`` that are not held out."""
    numbers = sorted(set(range(TARGETS[target].images)) - set(held_out(target)))
    images = read_pack(data, target, numbers)
    if target != "nuclei":
        return images
    return [densest_quarter(image) if i % 2 else image for i, image in zip(numbers, images, strict=True)]


def densest_quarter(image: TrainingImage) -> TrainingImage:
    """Return the quarter of ``image`` with the most objects."""
    height, width = (side // 2 for side in image.labels.shape)
    quarters = []
    for row, col in ((0, 0), (0, width), (height, 0), (height, width)):
        part = np.s_[row : row + height, col : col + width]
        quarters.append(TrainingImage(image.name, image.image[part].copy(), image.labels[part].copy(), complete=True))
    return max(quarters, key=lambda quarter: len(objects_of(quarter)))


if __name__ == "__main__":
    main()
