"""Overlap of two masks."""

from __future__ import annotations

import numpy as np


def dice(predicted: np.ndarray, target: np.ndarray) -> float:
    """Return the Dice coefficient, 0 to 1, of two bool masks of one shape; 1 when both are empty."""
    total = int(predicted.sum()) + int(target.sum())
    return 1.0 if total == 0 else 2.0 * int((predicted & target).sum()) / total


def iou(predicted: np.ndarray, target: np.ndarray) -> float:
    """Return the intersection over union, 0 to 1, of two bool masks of one shape; 1 when both are empty."""
    union = int((predicted | target).sum())
    return 1.0 if union == 0 else int((predicted & target).sum()) / union
