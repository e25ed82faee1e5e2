"""What :mod:`batch` measures, part by part. Each part runs in a process of its own and returns what its file holds."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from naslora_resources.registry import DEFAULT_MODEL
from naslora_resources.samples import sample_folder
from packs import held_out, labelled, read_pack

#: The fine-tune of each target, as a person starts it; one precision, whatever a busy machine would choose.
RECIPE: dict[str, Any] = {"method": "nas-lora", "preset": "quick", "precision": "bfloat16"}
#: Side of the large image, and of its tiles on the disk, in pixels.
LARGE, TILE = 10_000, 512
#: Whose adapter segments the large image: it learned from whole photographs, so that tiles are about as large.
LARGE_TARGET = "lesions"


def learn(data: Path, results: Path, target: str, seed: int) -> dict[str, Any]:
    """Fine-tune the default base and its head on the eight labelled images of a target; the adapter is kept."""
    from naslora_trainer.config import FineTuneConfig
    from naslora_trainer.train import finetune

    images = read_pack(data, target, labelled(target, seed))
    adapter = finetune(FineTuneConfig.checked(base=DEFAULT_MODEL, shown_images=0, seed=seed, **RECIPE), images)
    assert adapter is not None
    adapter.save(adapter_of(results, target, seed))
    report = adapter.meta.report
    return {
        key: report[key] for key in ("validation", "better", "train_s", "seen_px", "one_object", "peak_mb", "share")
    }


def adapter_of(results: Path, target: str, seed: int) -> Path:
    """Return the file of the adapter of a target."""
    return results / f"{target}-{seed}.safetensors"


def _some_adapter(results: Path, target: str) -> Path:
    """Return an adapter of a target, for what takes as long and as much memory with each."""
    return min(results.glob(f"{target}-*.safetensors"))


def score(data: Path, results: Path, target: str, seed: int, most: int) -> dict[str, Any]:
    """Find all objects of held-out images in each way, with the same model.

    Returns
    -------
    dict
        ``images``, ``objects``, ``precision`` (of matrix products), by way (``auto``, ``quick``, ``amg``) ``f1``,
        ``ap``, ``seconds`` of a processor, and ``encode_s`` for the bare encoder.
    """
    from naslora_napari.batch.automask import segment_image
    from naslora_napari.batch.segmenter import Segmenter
    from naslora_trainer.devices import autocast
    from naslora_trainer.matching import THRESHOLDS, Matches, matches

    model = Segmenter(adapter=adapter_of(results, target, seed), device="cpu")
    images = read_pack(data, target, held_out(target)[:most])

    def encode(rgb: np.ndarray) -> None:
        with autocast("cpu", model.precision):
            model._predictor.set_image(rgb)

    ways: dict[str, Callable[[np.ndarray], Any]] = {
        "auto": model.segment,
        "quick": lambda rgb: model.segment(rgb, quick=True),
        "amg": lambda rgb: segment_image(model.sam, model.learned, rgb, precision=model.precision),
    }
    totals = {way: [Matches()] * len(THRESHOLDS) for way in ways}
    seconds = dict.fromkeys((*ways, "encode"), 0.0)
    encode(images[0].image)  # what happens only once
    for image in images:
        begun = time.process_time()
        encode(image.image)
        seconds["encode"] += time.process_time() - begun
        for way, segment in ways.items():
            begun = time.process_time()
            found = segment(image.image)
            seconds[way] += time.process_time() - begun
            pairs = zip(totals[way], matches(found.labels, image.labels), strict=True)
            totals[way] = [before + now for before, now in pairs]
    scores = {
        way: {
            "f1": total[0].f1,
            "ap": float(np.mean([m.accuracy for m in total])),
            "recall": total[0].recall,
            "seconds": seconds[way],
        }
        for way, total in totals.items()
    }
    objects = sum(int(len(np.unique(image.labels[image.labels > 0]))) for image in images)
    precision = str(model.precision).removeprefix("torch.")
    return {"images": len(images), "objects": objects, "precision": precision, "encode_s": seconds["encode"], **scores}


def folder(data: Path, results: Path, count: int, workers: int) -> dict[str, Any]:
    """Segment a folder of ``count`` copies of the sample tiles; 0 workers: this process does it.

    Returns
    -------
    dict
        ``images``, ``seconds`` (wall time, all of it), and ``peak_mb`` of this process.
    """
    from naslora_napari.batch import segment_folder
    from naslora_trainer.gate import peak_memory_mb

    tiles = sorted((sample_folder("held_out") / "images").glob("*.png"))
    with TemporaryDirectory() as place:
        images = Path(place, "images")
        images.mkdir()
        for number in range(count):
            shutil.copy(tiles[number % len(tiles)], images / f"{number:04}.png")
        begun = time.monotonic()
        report = segment_folder(images, Path(place, "out"), _some_adapter(results, "nuclei"), workers=workers)
        seconds = time.monotonic() - begun
    assert report.images == count and not report.failed
    return {"images": count, "seconds": seconds, "peak_mb": peak_memory_mb("cpu")}


def large(data: Path, results: Path) -> dict[str, Any]:
    """Segment one image of LARGE x LARGE pixels, made of a photograph side by side; as :func:`folder`."""
    import tifffile

    from naslora_napari.batch import segment_folder
    from naslora_trainer.gate import peak_memory_mb

    (photograph,) = read_pack(data, LARGE_TARGET, held_out(LARGE_TARGET)[:1])
    rows, cols = (np.arange(LARGE) % side for side in photograph.labels.shape)

    def tiles() -> Any:
        for row in range(0, LARGE, TILE):
            for col in range(0, LARGE, TILE):
                yield photograph.image[np.ix_(rows[row : row + TILE], cols[col : col + TILE])]

    with TemporaryDirectory() as place:
        images = Path(place, "images")
        images.mkdir()
        tifffile.imwrite(
            images / "large.tif", tiles(), shape=(LARGE, LARGE, 3), dtype=np.uint8, tile=(TILE, TILE),
            photometric="rgb", compression="zlib",
        )  # fmt: skip
        begun = time.monotonic()
        report = segment_folder(images, Path(place, "out"), _some_adapter(results, LARGE_TARGET))
        seconds = time.monotonic() - begun
    assert report.images == 1 and not report.failed, report.failed
    return {"side": LARGE, "objects": report.objects, "seconds": seconds, "peak_mb": peak_memory_mb("cpu")}
