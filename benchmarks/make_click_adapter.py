"""Train the general click adapter that ships in ``resources/``: LiteMedSAM knows boxes, with it also clicks.

Data: the images of the packs ``dsb2018_nuclei`` (CC0) and ``coffee_leaf_lesions`` (MIT; lesions and leaves) whose
number is not ``4 k + 2``; those are held out and judge it. It is trained in three goes, each going on from the one
before: on the images, of which every other one of nuclei is cut to its quarter with most nuclei; then also on quarters
with lesions, on close-ups of leaves, and on thin trees painted on every other ground; then on more close-ups of leaves
and other trees. What comes from one image has its name, so that it is not judged by what it is trained on. Run::

    python benchmarks/make_click_adapter.py --data DIR --out click.safetensors
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from naslora_trainer.adapter import Adapter
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage, objects_of
from naslora_trainer.native import reuse_freed_memory
from naslora_trainer.train import finetune
from packs import not_held_out, read_pack
from painted import close_up, with_tree

Images = Sequence[TrainingImage]
RECIPE: dict[str, Any] = {
    "base": "litemedsam",
    "decoder": "lora",
    "alternatives": True,  # a click on a leaf can mean a lesion or the leaf
    "decoder_rank": 16,
    "prompts_per_step": 6,
    "box_share": 0.4,
    "seed_head": False,
    "cache_mb": 0,
}
#: What differs between the goes.
GOES: tuple[dict[str, Any], ...] = (
    {"method": "nas-lora", "steps": 800, "decoder_lr": 2e-3},
    {"method": "lora", "blocks": 4, "steps": 600, "decoder_lr": 1e-3, "adapter_lr": 1e-3},
    {"method": "lora", "blocks": 4, "steps": 400, "decoder_lr": 5e-4, "adapter_lr": 5e-4, "decoder_rank": 8},
)
#: Close-ups of each leaf, by go.
CLOSE_UPS = (0, 1, 3)


def main() -> None:
    """Train and write the adapter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the packs")
    parser.add_argument("--out", type=Path, required=True, help="the adapter file to write")
    options = parser.parse_args()
    reuse_freed_memory()
    start = Path()
    nuclei, lesions, leaf = (read_free(options.data, target) for target in ("nuclei", "lesions", "leaf"))
    for go, settings in enumerate(GOES):
        images = many_kinds(nuclei, lesions, leaf, go) if go else few_sizes(nuclei, lesions, leaf)
        path = options.out.with_suffix(f".{go}.safetensors")
        if not path.exists():
            train({**settings, "start": str(start) if go else ""}, images).save(path)
        start = path
    last = Adapter.load(start)
    half = {name: tensor.half() for name, tensor in last.tensors.items()}  # half the size, the same answers
    Adapter(half, last.meta).save(options.out)
    print(json.dumps(last.meta.report["validation"]), options.out.stat().st_size, "bytes")


def train(settings: dict[str, Any], images: list[TrainingImage]) -> Adapter:
    """Return what is learned on ``images``; its course is printed."""
    config = FineTuneConfig.checked(**RECIPE | settings)
    adapter = finetune(config, images, lambda event: print(json.dumps(event), flush=True))
    assert adapter is not None
    return adapter


def few_sizes(nuclei: Images, lesions: Images, leaf: Images) -> list[TrainingImage]:
    """Return the images, every other one of nuclei as a close-up."""
    return [*(densest_quarter(image) if _number(image) % 2 else image for image in nuclei), *lesions, *leaf]


def many_kinds(nuclei: Images, lesions: Images, leaf: Images, go: int) -> list[TrainingImage]:
    """Return those, parts of them, and painted ones; other light, margins and trees in each go."""
    seed = 1000 * (go - 1)
    return [
        *few_sizes(nuclei, lesions, leaf),
        *(densest_quarter(image) for image in lesions if _number(image) % 2),
        *(close_up(image, seed + 100 * n + k) for n in range(CLOSE_UPS[go]) for k, image in enumerate(leaf)),
        *(with_tree(image, seed + k) for k, image in enumerate([*nuclei, *leaf][(go - 1) % 2 :: 2])),
    ]


def read_free(data: Path, target: str) -> list[TrainingImage]:
    """Return the images of ``target`` that are not held out."""
    return read_pack(data, target, not_held_out(target))


def _number(image: TrainingImage) -> int:
    return int(Path(image.name).name)


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
