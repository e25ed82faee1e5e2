"""The mask that further clicks go on from: SAM is trained to correct an earlier answer that it is given back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from naslora_trainer.mask_prompt import mask_logits
from naslora_trainer.prompts import Prediction, Prompts, box_of


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
        rows, cols = preview.window
        return replace(prompts, mask=preview.low_res, mask_region=(rows.start, cols.start, rows.stop, cols.stop))
    if prompts.continues(before):
        return replace(prompts, mask=before.mask, mask_region=before.mask_region)
    return replace(prompts, mask=None, mask_region=None)


def from_object(mask: np.ndarray) -> Prompts:
    """Return prompts that make the model propose an object again: its mask ``(H, W)`` bool, and the box around it."""
    row0, col0, row1, col1 = (int(edge) for edge in box_of(mask))
    logits = mask_logits(mask[row0:row1, col0:col1])
    return Prompts(box=(row0, col0, row1, col1), mask=logits, mask_region=(row0, col0, row1, col1))
