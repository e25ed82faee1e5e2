"""How well found objects match labelled ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: IoU thresholds over which the average precision is taken: 0.50, 0.55 .. 0.95.
THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))


@dataclass(frozen=True)
class Matches:
    """Counts at one IoU threshold, over any number of images."""

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    def __add__(self, other: Matches) -> Matches:
        return Matches(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )

    @property
    def precision(self) -> float:
        """Share of found objects that are right."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of labelled objects that were found."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        wrong = self.false_positives + self.false_negatives
        return _ratio(2 * self.true_positives, 2 * self.true_positives + wrong)

    @property
    def accuracy(self) -> float:
        """TP / (TP + FP + FN), which StarDist and Cellpose call average precision at this threshold."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives + self.false_negatives)


def match(found: np.ndarray, labelled: np.ndarray, threshold: float = 0.5) -> Matches:
    """Match two label images one to one.

    Parameters
    ----------
    found, labelled : ndarray
        ``(H, W)`` whole numbers, 0 is background.
    threshold : float
        A pair counts from this IoU on; from 0.5 on the match is unique.
    """
    return matches(found, labelled, (threshold,))[0]


def matches(found: np.ndarray, labelled: np.ndarray, thresholds: Sequence[float] = THRESHOLDS) -> list[Matches]:
    """Return :func:`match` for several thresholds."""
    overlap = _iou_table(found, labelled)
    result = []
    for threshold in thresholds:
        hits = int(((overlap > 0.5) & (overlap >= threshold)).sum()) + _ties(overlap, threshold)
        result.append(Matches(hits, overlap.shape[0] - hits, overlap.shape[1] - hits))
    return result


def _ties(overlap: np.ndarray, threshold: float) -> int:
    """Pairs at exactly 0.5, of which an object can have two: count each object once."""
    if threshold > 0.5:
        return 0
    rows, cols = np.nonzero(overlap == 0.5)
    return min(len(set(rows.tolist())), len(set(cols.tolist())))


def _iou_table(found: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """IoU of every found object (rows) with every labelled one (columns)."""
    _, rows = np.unique(found, return_inverse=True)
    _, cols = np.unique(labelled, return_inverse=True)
    table = np.zeros((rows.max() + 1, cols.max() + 1))
    np.add.at(table, (rows.ravel(), cols.ravel()), 1)
    union = table.sum(axis=1, keepdims=True) + table.sum(axis=0, keepdims=True) - table
    return (table / union)[int((found == 0).any()) :, int((labelled == 0).any()) :]


def _ratio(part: int, whole: int) -> float:
    return 1.0 if whole == 0 else part / whole
