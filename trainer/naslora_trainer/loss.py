"""The loss of a prompted answer: Dice + BCE on the mask, and squared error on the predicted IoU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

#: Weight of the predicted-IoU term.
IOU_WEIGHT = 0.5


def mask_losses(logits: Tensor, targets: Tensor, trusted: Tensor) -> Tensor:
    """Return Dice + BCE loss (B, M) of logits (B, M, H, W) against targets (B, 1, H, W).

    Parameters
    ----------
    logits : Tensor
        M candidate masks for each of B objects.
    targets, trusted : Tensor
        0 or 1, float; pixels with ``trusted == 0`` do not count.
    """
    count = trusted.sum((-2, -1)).clamp_min(1)
    bce = functional.binary_cross_entropy_with_logits(logits, targets.expand_as(logits), reduction="none")
    bce = (bce * trusted).sum((-2, -1)) / count
    probability = torch.sigmoid(logits) * trusted
    overlap = (probability * targets).sum((-2, -1))
    total = probability.sum((-2, -1)) + (targets * trusted).sum((-2, -1))
    return 1 - (2 * overlap + 1) / (total + 1) + bce


@torch.no_grad()
def true_iou(logits: Tensor, targets: Tensor, trusted: Tensor) -> Tensor:
    """Return the IoU (B, M) of the thresholded logits with the targets, on trusted pixels."""
    predicted = (logits > 0) & (trusted > 0)
    wanted = (targets > 0) & (trusted > 0)
    union = (predicted | wanted).sum((-2, -1)).clamp_min(1)
    return (predicted & wanted).sum((-2, -1)) / union


def prompted_loss(logits: Tensor, iou: Tensor, targets: Tensor, trusted: Tensor, several: Tensor) -> Tensor:
    """Return the mean loss (scalar) over objects.

    Parameters
    ----------
    logits, iou : Tensor
        (B, 4, H, W) and (B, 4): the mask decoder's four masks. The first answers a prompt with one mask, the other
        three are alternatives for an ambiguous one, of which only the best is pulled to the target (SAM, section 3).
        Where no prompt is answered by alternatives, the first alone is enough: (B, 1, H, W) and (B, 1).
    targets, trusted : Tensor
        (B, 1, H, W) float.
    several : Tensor
        (B,) bool: prompts that are answered by alternatives.
    """
    if not several.any():
        logits, iou = logits[:, :1], iou[:, :1]  # no gradient for masks that nobody sees
    per_mask = mask_losses(logits, targets, trusted)
    error = (iou - true_iou(logits, targets, trusted)).square()
    loss = per_mask[:, 0] + IOU_WEIGHT * error[:, 0]
    if several.any():
        alternatives = per_mask[:, 1:].min(dim=1).values + IOU_WEIGHT * error[:, 1:].mean(dim=1)
        loss = torch.where(several, alternatives, loss)
    return loss.mean()
