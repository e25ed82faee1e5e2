"""Prompts of training, given as people give them, in batches for the mask decoder."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from segment_anything.modeling import Sam
from torch import Tensor

from .config import FineTuneConfig
from .frames import Frame
from .mask_prompt import LOW_RES
from .prompts import Box, box_of, deepest_point, jitter_box, random_click, random_scribble

Click = tuple[int, int, int]
#: A scribble is handed to the model as so many clicks along it.
SCRIBBLE_POINTS = (3, 6)
#: Most corrective clicks of a step; the model must not be surprised by a patient person.
MOST_CORRECTIONS = 5


@dataclass
class PromptBatch:
    """Prompts for B objects of one image, in low-resolution pixels.

    Attributes
    ----------
    clicks : list of list of (row, col, label)
        One list for each object; with the boxes' two corners all have as many tokens.
    boxes : list of Box or None
        One for each object; an object has either first clicks or a box.
    targets : ndarray
        (B, 256, 256) bool: the objects.
    inside : ndarray
        (256, 256) bool: where they are compared.
    masks : Tensor, optional
        (B, 1, 256, 256): logits of an earlier answer, given back to the model as a prompt.
    """

    clicks: list[list[Click]]
    boxes: list[Box | None]
    targets: np.ndarray
    inside: np.ndarray
    masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def single_click(self) -> np.ndarray:
        """(B,) bool: prompts that are one click alone, for which SAM offers several masks."""
        alone = self.masks is None
        return np.array([alone and box is None and len(c) == 1 for c, box in zip(self.clicks, self.boxes, strict=True)])

    def part(self, which: slice) -> PromptBatch:
        """Return the prompts of some of the objects."""
        masks = None if self.masks is None else self.masks[which]
        return PromptBatch(self.clicks[which], self.boxes[which], self.targets[which], self.inside, masks)

    def corrected(self, predicted: np.ndarray, count: int = 1) -> PromptBatch:
        """Return the batch with ``count`` corrective clicks each, given the answers (B, 256, 256) bool.

        Clicks go to the deepest points of the largest error regions; when those are used up, inside the object.
        """
        clicks = []
        for before, answer, target in zip(self.clicks, predicted, self.targets, strict=True):
            clicks.append([*before, *_corrections(answer & self.inside, target, count)])
        return replace(self, clicks=clicks)


def _corrections(answer: np.ndarray, target: np.ndarray, count: int) -> list[Click]:
    """Return clicks deepest inside the ``count`` largest error regions."""
    regions: list[tuple[int, np.ndarray, int]] = []
    for error, label in ((target & ~answer, 1), (answer & ~target, 0)):
        found, _ = ndimage.label(error)
        sizes = np.bincount(found.ravel())[1:]
        regions += [(int(sizes[i]), found == i + 1, label) for i in np.argsort(-sizes)[:count]]
    regions.sort(key=lambda region: -region[0])
    clicks = [(*deepest_point(region), label) for _, region, label in regions[:count]]
    rows, cols = np.nonzero(target)
    spread = np.linspace(0, len(rows) - 1, count - len(clicks) + 2).astype(int)[1:-1]
    return clicks + [(int(rows[i]), int(cols[i]), 1) for i in spread]


@dataclass(frozen=True)
class Plan:
    """What one image contributes to a step, drawn before the model is asked, so that a step can be taken again.

    Attributes
    ----------
    first : PromptBatch
        The first prompts.
    corrections : int
        How many corrective clicks follow.
    carries_mask : bool
        Whether the first answer is given back as a mask prompt with them.
    """

    first: PromptBatch
    corrections: int = 0
    carries_mask: bool = False


def plan_prompts(frame: Frame, config: FineTuneConfig, rng: np.random.Generator) -> Plan:
    """Draw prompts for up to ``config.prompts_per_step`` objects of ``frame``: clicks and jittered boxes, or scribbles.

    All objects of a step get equally many tokens, so that they share one pass of the mask decoder.
    """
    ids = rng.permutation(frame.objects)[: config.prompts_per_step]
    targets = np.stack([frame.labels == i for i in ids])
    scribble = int(rng.integers(*SCRIBBLE_POINTS)) if rng.random() < config.scribble_share else 0
    clicks: list[list[Click]] = []
    boxes: list[Box | None] = []
    for target in targets:
        box = not scribble and rng.random() < config.box_share
        boxes.append(jitter_box(box_of(target), target.shape, rng) if box else None)
        if scribble:
            clicks.append([(*point, 1) for point in random_scribble(target, scribble, rng)])
        else:
            clicks.append([] if box else [(*random_click(target, rng), 1)])
    first = PromptBatch(clicks, boxes, targets, frame.inside)
    corrections = 0
    if rng.random() < config.correction_share:
        corrections = min(MOST_CORRECTIONS, int(rng.geometric(0.5)))
    carries_mask = corrections > 0 and rng.random() < config.mask_share
    return Plan(first, corrections, carries_mask)


def sparse_tokens(sam: Sam, batch: PromptBatch) -> Tensor:
    """Return the prompt encoder's sparse tokens (B, N, 256).

    A click alone is padded by SAM to two tokens and a box has two, so that clicks and boxes, with the same number of
    corrective clicks, share one batch.
    """
    scale = sam.image_encoder.img_size / LOW_RES
    rows = [_tokens(sam, clicks, box, scale) for clicks, box in zip(batch.clicks, batch.boxes, strict=True)]
    return torch.cat(rows)


def _tokens(sam: Sam, clicks: list[Click], box: Box | None, scale: float) -> Tensor:
    points = None
    if clicks:
        xy = torch.tensor([[(col + 0.5) * scale, (row + 0.5) * scale] for row, col, _ in clicks])
        points = (xy[None].to(sam.device), torch.tensor([[label for *_, label in clicks]], device=sam.device))
    corners = None
    if box is not None:
        row0, col0, row1, col1 = box
        corners = torch.tensor([[col0, row0, col1, row1]], device=sam.device) * scale
    return sam.prompt_encoder(points=points, boxes=corners, masks=None)[0]


def dense_prompt(sam: Sam, batch: PromptBatch) -> Tensor:
    """Return the prompt encoder's dense embedding: (B, 256, 64, 64) with mask prompts, else (1, 256, 1, 1)."""
    encoder = sam.prompt_encoder
    if batch.masks is None:
        return encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
    dense: Tensor = encoder.mask_downscaling(batch.masks)
    return dense
