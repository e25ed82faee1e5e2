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
from naslora_trainer.images import paired, read_image, read_labels, to_rgb8
from naslora_trainer.native import reuse_freed_memory
from naslora_trainer.train import finetune

#: Pack and folder of the masks.
SOURCES = (("dsb2018_nuclei", "masks"), ("coffee_leaf_lesions", "masks"), ("coffee_leaf_lesions", "masks_leaf"))
RECIPE: dict[str, Any] = {
    "method": "nas-lora",
    "base": "litemedsam",
    "decoder": "lora",
    "steps": 240,
    "prompts_per_step": 8,
    "box_share": 0.45,
    "cache_mb": 0,
}


def main() -> None:
    """Train and write the adapter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the packs")
    parser.add_argument("--out", type=Path, required=True, help="the adapter file to write")
    options = parser.parse_args()
    reuse_freed_memory()
    images = [image for pack, masks in SOURCES for image in read(options.data / pack, masks)]
    adapter = finetune(FineTuneConfig.checked(**RECIPE), images, lambda event: print(json.dumps(event), flush=True))
    assert adapter is not None
    adapter.save(options.out)
    print(json.dumps(adapter.meta.report["validation"]), options.out.stat().st_size, "bytes")


def read(pack: Path, masks: str) -> list[TrainingImage]:
    """Return the images of ``pack`` that are not held out, with the objects of its folder ``masks``."""
    images = []
    for path, mask in paired(pack / "images", pack / masks):
        number = int(path.stem)
        if number % 4 == 2:
            continue
        name = f"{pack.name}/{masks}/{path.stem}"
        image = TrainingImage(name, to_rgb8(read_image(path)), read_labels(mask), complete=True)
        images.append(densest_quarter(image) if pack.name == "dsb2018_nuclei" and number % 2 else image)
    return images


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
