"""Prompts of training, given as people give them, in batches for the mask decoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch import Tensor

from .frames import LOW_RES, Frame
from .prompts import Box, box_of, jitter_box, next_click, random_click


@dataclass
class PromptBatch:
    """Prompts for B objects of one image, in low-resolution pixels.

    Attributes
    ----------
    clicks : list of list of (row, col, label)
        One list for each object; all of one length.
    boxes : list of Box or None
        One for each object; an object has either a first click or a box.
    targets, trusted : ndarray
        (B, 256, 256) bool: the objects, and where they may be compared.
    """

    clicks: list[list[tuple[int, int, int]]]
    boxes: list[Box | None]
    targets: np.ndarray
    trusted: np.ndarray

    @property
    def single_click(self) -> np.ndarray:
        """(B,) bool: prompts that are one click alone, for which SAM offers several masks."""
        return np.array([box is None and len(c) == 1 for c, box in zip(self.clicks, self.boxes, strict=True)])

    def corrected(self, predicted: np.ndarray) -> PromptBatch:
        """Return the batch with one corrective click each, given the answers (B, 256, 256) bool."""
        clicks = []
        for before, answer, target, trusted in zip(self.clicks, predicted, self.targets, self.trusted, strict=True):
            found = next_click(answer & trusted, target)
            (row, col), label = found if found is not None else (_inside(target), 1)
            clicks.append([*before, (row, col, label)])
        return PromptBatch(clicks, self.boxes, self.targets, self.trusted)


def sample_prompts(frame: Frame, most: int, box_share: float, rng: np.random.Generator) -> PromptBatch:
    """Pick up to ``most`` objects of ``frame`` and a first prompt for each: a click or a jittered box."""
    ids = rng.permutation(frame.objects)[:most]
    targets = np.stack([frame.labels == i for i in ids])
    clicks: list[list[tuple[int, int, int]]] = []
    boxes: list[Box | None] = []
    for target in targets:
        if rng.random() < box_share:
            clicks.append([])
            boxes.append(jitter_box(box_of(target), target.shape, rng))
        else:
            clicks.append([(*random_click(target, rng), 1)])
            boxes.append(None)
    return PromptBatch(clicks, boxes, targets, np.stack([frame.trusted(t) for t in targets]))


def _inside(mask: np.ndarray) -> tuple[int, int]:
    rows, cols = np.nonzero(mask)
    return int(rows[len(rows) // 2]), int(cols[len(cols) // 2])


def sparse_tokens(sam: Sam, batch: PromptBatch) -> Tensor:
    """Return the prompt encoder's sparse tokens (B, N, 256).

    A click alone is padded by SAM to two tokens and a box has two, so that clicks and boxes, with the same number of
    corrective clicks, share one batch.
    """
    scale = sam.image_encoder.img_size / LOW_RES
    rows = [_tokens(sam, clicks, box, scale) for clicks, box in zip(batch.clicks, batch.boxes, strict=True)]
    return torch.cat(rows)


def _tokens(sam: Sam, clicks: list[tuple[int, int, int]], box: Box | None, scale: float) -> Tensor:
    points = None
    if clicks:
        xy = torch.tensor([[(col + 0.5) * scale, (row + 0.5) * scale] for row, col, _ in clicks])
        points = (xy[None].to(sam.device), torch.tensor([[label for *_, label in clicks]], device=sam.device))
    corners = None
    if box is not None:
        row0, col0, row1, col1 = box
        corners = torch.tensor([[col0, row0, col1, row1]], device=sam.device) * scale
    return sam.prompt_encoder(points=points, boxes=corners, masks=None)[0]
