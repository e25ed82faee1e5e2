"""One image as one model sees it: which region is encoded for what is asked, and the answers there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from naslora_trainer.mask_prompt import reframed
from naslora_trainer.pictures import Picture, factor_of
from naslora_trainer.prompts import Box, Prediction, Prompts
from naslora_trainer.regions import MOST_SEEN, Region, extent_of, larger, region_for, side_for

from .embeddings import Embedding, EmbeddingCache, embedding_key
from .kept_models import Model

if TYPE_CHECKING:
    from segment_anything import SamPredictor


@dataclass(frozen=True, eq=False)
class Seeing:
    """A model and the image it is asked about.

    Attributes
    ----------
    model : Model
        That answers.
    picture : Picture
        The image.
    cache : EmbeddingCache
        Where embeddings are kept.
    keys : dict
        In that cache, of the regions of this image that this model has encoded.
    """

    model: Model
    picture: Picture
    cache: EmbeddingCache
    keys: dict[Region, str] = field(default_factory=dict)

    @property
    def all(self) -> Region:
        """The region that is all of the image."""
        return region_for(self.picture.shape, (0, 0, *self.picture.shape), max(self.picture.shape))

    def middle(self, visible: Box | None, last: Region | None) -> Region:
        """Return the region in the middle of what is ``visible``; ``last`` is kept if it will do."""
        height, width = self.picture.shape
        row0, col0, row1, col1 = visible or (0, 0, height, width)
        row, col = min(max((row0 + row1) / 2, 0), height), min(max((col0 + col1) / 2, 0), width)
        return region_for((height, width), (row, col, row, col), self._side(visible), last)

    def ask(self, prompts: Prompts, visible: Box | None, last: Region | None) -> tuple[Prediction, Region]:
        """Return the answer, and the region that was looked at for it: a larger one for a mask that was cut off."""
        shape = self.picture.shape
        checked = prompts.checked(shape)
        asked = extent_of(checked)
        region = region_for(shape, asked, self._side(visible), last)
        while True:
            found = self._answer(region, checked)
            if not _cut_off(found, region, shape):
                return found, region
            region = larger(shape, region, asked)

    def encode(self, region: Region) -> Embedding:
        """Return the embedding of a region, from the cache if it is there."""
        from segment_anything import SamPredictor

        factor = factor_of(region.window, MOST_SEEN)
        seen = (-(-(region.row1 - region.row0) // factor), -(-(region.col1 - region.col0) // factor))
        found = self.cache.get(self.keys[region], seen) if region in self.keys else None
        if found is not None:
            return found
        rgb = self.picture.rgb8(region.window, MOST_SEEN)
        key = embedding_key(rgb, region, self.model.key)
        found = self.cache.get(key, rgb.shape[:2])
        if found is None:
            predictor = SamPredictor(self.model.sam)
            predictor.set_image(rgb)
            found = Embedding(predictor.features.cpu(), rgb.shape[:2], key)
            self.cache.put(found)
        self.keys[region] = key
        return found

    def predictor(self, region: Region) -> SamPredictor:
        """Return segment-anything's predictor with a region set."""
        from naslora_trainer.examinee import encoded

        embedding = self.encode(region)
        return encoded(self.model.sam, embedding.features, embedding.seen)

    def _side(self, visible: Box | None) -> int:
        return side_for(self.picture.shape, visible, self.model.sam.image_encoder.img_size)

    def _answer(self, region: Region, prompts: Prompts) -> Prediction:
        """Answer prompts by what is seen of one region."""
        from naslora_trainer.answer import answer

        predictor, factor = self.predictor(region), factor_of(region.window, MOST_SEEN)
        moved = _with_mask_of(prompts, region).in_part((region.row0, region.col0), factor)
        return _on_image(answer(predictor, moved, self.model.learned, self.model.version), region, factor)


def _with_mask_of(prompts: Prompts, region: Region) -> Prompts:
    """Return the prompts with their mask, if they have one, in the frame of the region that is asked about."""
    if prompts.mask is None or prompts.mask_region is None:
        return prompts
    return replace(prompts, mask=reframed(prompts.mask, prompts.mask_region, region.edges), mask_region=region.edges)


def _on_image(found: Prediction, region: Region, factor: int) -> Prediction:
    """Return an answer of a region that was reduced by ``factor``, in pixels of the image."""
    if factor == 1:
        return replace(found, offset=(region.row0, region.col0), seen=region.edges)
    # a large region: no more than the masks' extent, since each candidate takes a byte for a pixel
    rows = np.flatnonzero(found.candidates.any(axis=(0, 2)))
    cols = np.flatnonzero(found.candidates.any(axis=(0, 1)))
    if len(rows) == 0:
        rows = cols = np.zeros(1, int)
    part = found.candidates[:, rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    row, col = region.row0 + int(rows[0]) * factor, region.col0 + int(cols[0]) * factor
    large = part.repeat(factor, axis=1).repeat(factor, axis=2)[:, : region.row1 - row, : region.col1 - col]
    return replace(found, mask=large[0], candidates=large, offset=(row, col), seen=region.edges)


def _cut_off(found: Prediction, region: Region, shape: tuple[int, int]) -> bool:
    """Return whether a mask reaches an edge of its region that is not one of the image."""
    rows, cols = found.window
    mask = found.mask
    return bool(
        (0 < region.row0 == rows.start and mask[0].any())
        or (0 < region.col0 == cols.start and mask[:, 0].any())
        or (shape[0] > region.row1 == rows.stop and mask[-1].any())
        or (shape[1] > region.col1 == cols.stop and mask[:, -1].any())
    )
