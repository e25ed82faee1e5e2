"""What one model answers to the simulated person of :mod:`annotator` on each image, worked out once and kept."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from segment_anything import SamPredictor
from torch import Tensor

from naslora_napari.batch.segmenter import Segmenter
from naslora_napari.live.doubt import Doubt, doubt_of
from naslora_napari.live.predictor import Look
from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.adapter import Adapter
from naslora_trainer.data import TrainingImage, objects_of
from naslora_trainer.evaluate import BATCH, answer_all
from naslora_trainer.files import atomic_write, read_json, write_json
from naslora_trainer.prompts import Prompts, deepest_point, next_click
from naslora_trainer.scores import iou
from naslora_trainer.seed_head import head_of
from person import ACCEPT, CLICK, CLICKS, GOAL, OPEN, Work, by_clicks, by_review, cheapest, matched


class Answers:
    """A model, and what it answered.

    Parameters
    ----------
    kept : Path
        Folder for what was worked out; one for each set of images.
    adapter : Path, optional
        Of the fine-tuned model; the base model without.
    """

    def __init__(self, kept: Path, adapter: Path | None = None) -> None:
        self.adapter = adapter
        loaded = Adapter.load(adapter) if adapter else None
        self.version = loaded.id if loaded else DEFAULT_MODEL
        self.report: dict[str, Any] = loaded.meta.report if loaded else {}
        self._kept = kept / self.version
        self._kept.mkdir(parents=True, exist_ok=True)
        self._features: dict[str, Tensor] = {}

    @cached_property
    def _segmenter(self) -> Segmenter:
        return Segmenter(DEFAULT_MODEL, self.adapter, "cpu")

    def rest(self, image: TrainingImage) -> dict[str, list[float]]:
        """Return how good an image is that nobody corrected.

        Returns
        -------
        dict
            ``automatic``: IoU of each object with what the model finds by itself, and a 0 for each found object that is
            none; ``one_click``: IoU of each after one click; ``seconds``: of these clicks, in a list.
        """
        file = self._kept / f"{_stem(image)}-rest.json"
        if not file.exists():
            ids = objects_of(image)
            pairs, false = matched(self._found(image), image.labels, ids)
            automatic = [pairs[key][1] if key in pairs else 0.0 for key in ids] + [0.0] * len(false)
            masks = self._clicked(image, ids, 1)
            clicked = [iou(masks[key][0], image.labels == key) for key in ids]
            seconds = [OPEN + len(ids) * (CLICK + ACCEPT)]
            write_json(file, {"automatic": automatic, "one_click": clicked, "seconds": seconds})
        found: dict[str, list[float]] = read_json(file)
        return found

    def work(self, image: TrainingImage) -> Work:
        """Return the image as the person labels it with this model at hand, the cheaper of both ways."""
        file = self._kept / f"{_stem(image)}-work.npz"
        if not file.exists():
            masks = self._clicked(image, objects_of(image), CLICKS)
            ways = {key: cheapest(some, image.labels == key) for key, some in masks.items()}
            works = [by_clicks(ways, image.labels), by_review(self._found(image), ways, image.labels)]
            best = min(works, key=lambda work: work.seconds)
            with atomic_write(file) as temporary, open(temporary, "wb") as stream:
                other = max(work.seconds for work in works)
                np.savez_compressed(
                    stream, labels=best.labels, ious=best.ious, seconds=[best.seconds, other], way=best.way
                )
        with np.load(file) as kept:
            return Work(float(kept["seconds"][0]), kept["labels"], tuple(kept["ious"].tolist()), str(kept["way"]))

    def doubt(self, image: TrainingImage) -> Doubt:
        """Return the doubt of the model about an image."""
        file = self._kept / f"{_stem(image)}-doubt.json"
        if not file.exists():
            adapter = Adapter.load(self.adapter) if self.adapter else None
            finds = (head_of(adapter.tensors, adapter.meta.classes), image.image, adapter.one_object) if adapter else ()
            look = Look(self._seen(image), self._segmenter.learned, (self.version, ""), *finds)
            write_json(file, doubt_of(look).model_dump())
        return Doubt.model_validate(read_json(file))

    def _found(self, image: TrainingImage) -> np.ndarray:
        pack, _, number = image.name.split("/")  # whatever is to be segmented in it
        file = self._kept.parent.parent / f"{self.version}-{pack}-{number}-found.npz"
        if not file.exists():
            found = self._segmenter.segment(image.image).labels
            with atomic_write(file) as temporary, open(temporary, "wb") as stream:
                np.savez_compressed(stream, labels=found)
        with np.load(file) as kept:
            labels: np.ndarray = kept["labels"]
            return labels

    def _seen(self, image: TrainingImage) -> SamPredictor:
        predictor = SamPredictor(self._segmenter.sam)
        side = self._segmenter.sam.image_encoder.img_size
        if image.name not in self._features:
            predictor.set_image(image.image)
            self._features[image.name] = predictor.features
        predictor.features = self._features[image.name]
        predictor.original_size = image.labels.shape
        predictor.input_size = predictor.transform.get_preprocess_shape(*image.labels.shape, side)
        predictor.is_image_set = True
        return predictor

    def _clicked(self, image: TrainingImage, ids: list[int], most: int) -> dict[int, list[np.ndarray]]:
        """Return the masks after 1, 2, ... clicks on each object, until the goal is reached."""
        predictor = self._seen(image)
        targets = {key: image.labels == key for key in ids}
        prompts = {key: Prompts().with_click(deepest_point(target)) for key, target in targets.items()}
        masks: dict[int, list[np.ndarray]] = {key: [] for key in ids}
        left = ids
        for _ in range(most):
            still = []
            for some in (left[k : k + BATCH] for k in range(0, len(left), BATCH)):
                answers = answer_all(predictor, [prompts[key] for key in some], self._segmenter.learned)
                for key, mask in zip(some, answers, strict=True):
                    masks[key].append(mask)
                    correction = next_click(mask, targets[key])
                    if correction is not None and iou(mask, targets[key]) < GOAL:
                        prompts[key] = prompts[key].with_click(*correction)
                        still.append(key)
            left = still
        return masks


def _stem(image: TrainingImage) -> str:
    return image.name.replace("/", "-")
