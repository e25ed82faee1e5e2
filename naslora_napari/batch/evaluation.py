"""How good a model is on a folder of labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from naslora_trainer.data import TrainingImage
from naslora_trainer.images import check_same_size, paired, read_image, read_labels, to_rgb8
from naslora_trainer.matching import THRESHOLDS, Matches, matches


def evaluate_folder(
    images: Path,
    masks: Path,
    base: str,
    adapter: Path | None,
    kinds: Sequence[str],
    clicks: int = 1,
    device: str = "auto",
) -> dict[str, Any]:
    """Return scores for each kind of prompt.

    Parameters
    ----------
    images, masks : Path
        Folders of images and label images with the same names.
    base : str
        Id of the base model.
    adapter : Path, optional
        Adapter file.
    kinds : sequence of str
        ``point``, ``box`` (see :func:`naslora_trainer.evaluate.evaluate`), and ``auto``: ``precision``, ``recall`` and
        ``f1`` at IoU 0.5 over all objects, and ``ap``, the mean of TP / (TP + FP + FN) over IoU 0.50 to 0.95.
    clicks : int
        Simulated clicks on each object.
    device : str
        Where to compute.

    Raises
    ------
    UserError
        A file is missing, broken or of another size, or the model cannot be loaded.
    """
    from naslora_trainer.evaluate import evaluate
    from naslora_trainer.examinee import Examinee

    from .segmenter import Segmenter

    labelled = [_read(*pair) for pair in paired(images, masks)]
    model = Segmenter(base, adapter, device)
    prompted = [kind for kind in kinds if kind != "auto"]
    result = evaluate(Examinee(model.sam, model.learned), labelled, prompted, clicks) if prompted else {}
    if "auto" in kinds:
        total = [Matches()] * len(THRESHOLDS)
        for image in labelled:
            found = matches(model.segment(image.image).labels, image.labels)
            total = [a + b for a, b in zip(total, found, strict=True)]
        half = total[0]
        ap = float(np.mean([m.accuracy for m in total]))
        result["auto"] = {"precision": half.precision, "recall": half.recall, "f1": half.f1, "ap": ap}
    return result


def _read(image: Path, mask: Path) -> TrainingImage:
    pixels, labels = to_rgb8(read_image(image)), read_labels(mask)
    check_same_size(pixels.shape[:2], labels.shape, image, mask)
    return TrainingImage(image.stem, pixels, labels, True)
