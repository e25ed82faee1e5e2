"""The mask that further clicks go on from: SAM is trained to correct an earlier answer that it is given back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from naslora_trainer.mask_prompt import mask_logits
from naslora_trainer.prompts import Prediction, Prompts


def refining(prompts: Prompts, before: Prompts, answered: Prompts, preview: Prediction | None) -> Prompts:
    """Return new prompts with the mask that they correct, or without one when they say something else.

    Only clicks and strokes that were added go on from a mask: it stands for another object, or for what the person
    no longer says, as soon as a prompt was moved or deleted.

    Parameters
    ----------
    prompts : Prompts
        What the person says now.
    before : Prompts
        What was asked last; its mask is carried on while its answer is not there.
    answered, preview : Prompts, Prediction or None
        The mask that is shown, and what it was the answer to.
    """
    if preview is not None and prompts.continues(answered):
        return replace(prompts, mask=preview.low_res, mask_region=preview.part)
    if prompts.continues(before):
        return replace(prompts, mask=before.mask, mask_region=before.mask_region)
    return replace(prompts, mask=None, mask_region=None)


def from_object(rows: np.ndarray, cols: np.ndarray) -> Prompts:
    """Return prompts that make the model propose an object again: its pixels as a mask, and the box around them."""
    part = int(rows.min()), int(cols.min()), int(rows.max()) + 1, int(cols.max()) + 1
    mask = np.zeros((part[2] - part[0], part[3] - part[1]), bool)
    mask[rows - part[0], cols - part[1]] = True
    return Prompts(box=part, mask=mask_logits(mask), mask_region=part)
