"""All objects of an image, found by the model alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from segment_anything import SamPredictor

from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.adapter import Adapter
from naslora_trainer.data import boxes_in
from naslora_trainer.devices import autocast, pick_device, pick_precision
from naslora_trainer.evaluate import decode_all
from naslora_trainer.frames import frame_shape
from naslora_trainer.instances import FOREGROUND, Instances, classes_of, find_instances, pieces, spread
from naslora_trainer.mask_prompt import CERTAIN, LOW_RES
from naslora_trainer.models import build, learned_prompts
from naslora_trainer.native import reuse_freed_memory
from naslora_trainer.prompts import Prompts
from naslora_trainer.seed_head import MAPS, SeedHead, head_of, probabilities

from .automask import segment_image
from .masks import AutoMasks, Mask, Upscaling, best_first, paint
from .sources import Parts
from .tiling import LARGER, stitched

#: So many prompts are answered together.
BATCH = 16
#: What an adapter can have learned from, in pixels; its file may be a stranger's.
SMALLEST_SEEN, LARGEST_SEEN = 32, 100_000


class Segmenter:
    """A model that finds all objects of an image.

    With an adapter that holds a head (see :mod:`naslora_trainer.seed_head`) that says where objects are, and the mask
    decoder is asked for each of them; without one by segment-anything's mask generator.

    Parameters
    ----------
    base : str
        Id of the base model.
    adapter : Adapter or Path, optional
        Of the fine-tuned model.
    device, precision : str
        See :func:`naslora_trainer.devices.pick_device` and :func:`naslora_trainer.devices.pick_precision`.

    Attributes
    ----------
    sam : Sam
        The model.
    one_object : bool
        Whether each image that it learned from had one object, in as many pieces as it may be. It then finds one, too.
    learned : tuple of str
        Prompts that it was trained on.
    precision : torch.dtype
        In which matrix products are computed.
    seen_px : int
        Side of the images, or parts of larger ones, that it learned from, in pixels; 0: not known. Images that are much
        larger are segmented in tiles of that size.
    classes : tuple of str
        What it tells apart; their numbers begin at 1.

    Raises
    ------
    UserError
        The model or the adapter cannot be loaded, or they do not belong together.
    """

    def __init__(
        self,
        base: str = DEFAULT_MODEL,
        adapter: Adapter | Path | None = None,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        reuse_freed_memory()
        chosen = Adapter.load(adapter) if isinstance(adapter, Path) else adapter
        self.sam = build(base, chosen, pick_device(device))
        self.learned = learned_prompts(base, chosen)
        head = head_of(chosen.tensors, chosen.meta.classes) if chosen else None
        self._head: SeedHead | None = head.to(self.sam.device) if head else None
        self.classes = head.classes if head else ()
        self.seen_px = seen_px_of(chosen)
        self.one_object = chosen is not None and chosen.meta.report.get("one_object") is True
        self.precision = pick_precision(self.sam.device.type, precision)
        self._predictor = SamPredictor(self.sam)

    @property
    def has_head(self) -> bool:
        """Whether the model finds objects by itself."""
        return self._head is not None

    def segment(self, rgb: np.ndarray | Parts, quick: bool = False) -> AutoMasks:
        """Find all objects of an image.

        Parameters
        ----------
        rgb : ndarray or Parts
            ``(H, W, 3)`` uint8. In parts only what is looked at is read: an image in tiles is never in memory as a
            whole.
        quick : bool
            Take the objects as the head outlines them, without asking the mask decoder. Without a head this is not
            looked at.
        """
        head = self._head
        if head and self.seen_px and not self.one_object and max(rgb.shape[:2]) > LARGER * self.seen_px:
            return stitched(rgb, self.seen_px, lambda part: self._whole(head, part, quick))
        whole = rgb[:, :]
        return (
            self._whole(head, whole, quick)
            if head
            else segment_image(self.sam, self.learned, whole, precision=self.precision)
        )

    def _whole(self, head: SeedHead, rgb: np.ndarray, quick: bool) -> AutoMasks:
        """Find all objects of an image that the encoder sees as a whole."""
        maps = self._maps(head, rgb)
        if self.one_object:
            return self._with_classes(self._one(maps, rgb.shape[:2], quick), maps)
        found = _enlarged(find_instances(maps), rgb.shape[:2])
        if quick:
            objects = best_first(found.labels, found.confidence)
        else:
            masks, quality = self._asked(found)
            objects = paint(masks, quality, rgb.shape, largest_share=1.0)
        return self._with_classes(objects, maps)

    def _with_classes(self, found: AutoMasks, maps: np.ndarray) -> AutoMasks:
        """Return objects with what the maps say of their classes, where the model knows some."""
        if not self.classes:
            return found
        return replace(found, classes=classes_of(found.labels, maps[MAPS:], len(found.confidence)))

    @torch.no_grad()
    def _maps(self, head: SeedHead, rgb: np.ndarray) -> np.ndarray:
        """Encode an image and return what the head says of it, (3 + K, h, w) float."""
        resized = self._predictor.transform.apply_image(rgb)
        pixels = torch.as_tensor(resized, device=self.sam.device).permute(2, 0, 1).contiguous()[None]
        with autocast(self.sam.device.type, self.precision):
            self._predictor.set_torch_image(pixels, rgb.shape[:2])
        self._predictor.features = self._predictor.features.float()
        maps = probabilities(head(self._predictor.features, self.sam.preprocess(pixels)))[0].cpu().numpy()
        height, width = frame_shape(rgb.shape[:2], self.sam.image_encoder.img_size)
        return np.asarray(maps[:, :height, :width])

    @torch.no_grad()
    def _one(self, maps: np.ndarray, shape: tuple[int, int], quick: bool) -> AutoMasks:
        """Return all of what the head sees as one object; the mask decoder, asked for it with a box, has half a say.

        On five images of retinal vessels the mask decoder alone had an IoU of 0.555, the head 0.597, both 0.586; what
        is compact the mask decoder knows better.
        """
        rows, cols = np.nonzero(pieces(maps[0]))
        if not len(rows):
            return AutoMasks(np.zeros(shape, np.int32), np.zeros(0))
        probability, confidence = maps[0], float(maps[0][maps[0] >= FOREGROUND].mean())
        if not quick:
            scale = np.array(shape) / probability.shape
            ends = (rows.min(), cols.min(), rows.max() + 1, cols.max() + 1)
            box = Prompts(box=tuple((np.array(ends) * [*scale, *scale]).tolist()))
            with autocast(self.sam.device.type, self.precision):
                low, quality = decode_all(self._predictor, [box], self.learned)
            asked = low[0, 0, : probability.shape[0], : probability.shape[1]].float().sigmoid().cpu().numpy()
            probability, confidence = (probability + asked) / 2, float(quality[0])
        logits = torch.full((LOW_RES, LOW_RES), -CERTAIN)
        known = torch.from_numpy(probability).logit(1e-4)
        logits[: known.shape[0], : known.shape[1]] = known
        mask = Upscaling(self.sam, self._predictor.input_size, self._predictor.original_size).mask(logits)
        return paint([mask], [confidence], shape, largest_share=1.0)

    @torch.no_grad()
    def _asked(self, found: Instances) -> tuple[list[Mask], list[float]]:
        """Return the mask that the mask decoder answers for each object, and its predicted quality."""
        prompts = self._prompts(found)
        upscaling = Upscaling(self.sam, self._predictor.input_size, self._predictor.original_size)
        masks: list[Mask] = []
        quality: list[float] = []
        for start in range(0, len(prompts), BATCH):
            with autocast(self.sam.device.type, self.precision):
                low, scores = decode_all(self._predictor, prompts[start : start + BATCH], self.learned)
            masks += map(upscaling.mask, low[:, 0].float().cpu())
            quality += scores.tolist()
        return masks, quality

    def _prompts(self, found: Instances) -> list[Prompts]:
        """Return a box around each object, with a click in its middle where the model knows clicks."""
        boxes = boxes_in(found.labels)
        clicks = "point" in self.learned
        prompts = []
        for number, (row, col) in enumerate(found.seeds.tolist(), start=1):
            box = Prompts(box=tuple(float(edge) for edge in boxes[number]))  # type: ignore[arg-type]
            prompts.append(box.with_click((row, col), True) if clicks else box)
        return prompts


def seen_px_of(adapter: Adapter | None) -> int:
    """Return the side of what an adapter learned from in pixels, as its report says; 0 where it does not."""
    side = None if adapter is None else adapter.meta.report.get("seen_px")
    return side if type(side) is int and SMALLEST_SEEN <= side <= LARGEST_SEEN else 0


def _enlarged(found: Instances, shape: tuple[int, ...]) -> Instances:
    """Return objects in pixels of an image of ``shape``; those that fall between its pixels are left out."""
    labels = found.labels[np.ix_(*spread(shape, found.labels.shape))]
    kept = np.array(sorted(boxes_in(labels)), int)
    number = np.zeros(len(found.seeds) + 1, np.int32)
    number[kept] = np.arange(1, len(kept) + 1)
    scale = np.array(shape) / found.labels.shape
    seeds = ((found.seeds[kept - 1] + 0.5) * scale).astype(int)
    return Instances(number[labels], seeds, found.confidence[kept - 1])
