"""Objects of neighbouring planes that are one: what is the same cell in a stack, or a moment later."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

#: Objects of two planes that overlap less, as a share of what both cover, are two.
LOWEST_IOU = 0.1


class Linker:
    """Numbers the objects of one plane after the other so that one object keeps its number.

    Each plane is only compared with the one before it: an object that is missing in a plane is another one after it.
    """

    def __init__(self) -> None:
        self._before: np.ndarray | None = None
        self._next = 1

    @property
    def count(self) -> int:
        """How many objects there were."""
        return self._next - 1

    def leap(self) -> None:
        """The next plane is no neighbour of the last one; its objects are all new."""
        self._before = None

    def numbers(self, labels: np.ndarray) -> np.ndarray:
        """Return the number of each object of the next plane.

        New objects are numbered by their first pixels, so that it does not matter how those of a plane are numbered.

        Parameters
        ----------
        labels : ndarray
            (H, W) int32: 0 background, 1..N. All planes have the same size.

        Returns
        -------
        ndarray
            (N + 1,) int32: for each label its number from 1 on; 0 for 0 and labels that no pixel has.
        """
        ids, first = np.unique(labels, return_index=True)
        ids = ids[np.argsort(first)]
        ids = ids[ids > 0]
        order = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
        order[ids] = np.arange(1, len(ids) + 1)
        found = np.zeros(len(order), np.int32)
        if self._before is not None:
            of = matched(self._before, order[labels])
            found[ids[np.array(list(of), int) - 1]] = list(of.values())
        new = ids[found[ids] == 0]
        found[new] = np.arange(self._next, self._next + len(new))
        self._next += len(new)
        self._before = found[labels]
        return found


def matched(before: np.ndarray, now: np.ndarray) -> dict[int, int]:
    """Return which object of a plane is which of the plane before: the pairing with the largest sum of IoU.

    Parameters
    ----------
    before, now : ndarray
        (H, W) of whole numbers, 0 is background.

    Returns
    -------
    dict of int to int
        From objects of ``now`` to those of ``before``, each at most once.
    """
    both = (before > 0) & (now > 0)
    pairs, shared = np.unique(np.stack([now[both], before[both]]), axis=1, return_counts=True)
    areas_now, areas_before = np.bincount(now.ravel()), np.bincount(before.ravel())
    iou = shared / (areas_now[pairs[0]] + areas_before[pairs[1]] - shared)
    close = iou >= LOWEST_IOU
    (rows, cols), iou = pairs[:, close], iou[close]
    found: dict[int, int] = {}
    for group in _groups(rows, cols):  # of objects that reach each other; all at once would be a huge matrix
        row_ids, row = np.unique(rows[group], return_inverse=True)
        col_ids, col = np.unique(cols[group], return_inverse=True)
        matrix = np.zeros((len(row_ids), len(col_ids)))
        matrix[row, col] = iou[group]
        for i, k in zip(*linear_sum_assignment(matrix, maximize=True), strict=True):
            if matrix[i, k] > 0:
                found[int(row_ids[i])] = int(col_ids[k])
    return found


def _groups(rows: np.ndarray, cols: np.ndarray) -> list[np.ndarray]:
    """Return the places of pairs that hang together."""
    if not len(rows):
        return []
    start = int(rows.max()) + 1
    size = start + int(cols.max()) + 1
    graph = coo_array((np.ones(len(rows), bool), (rows, cols + start)), shape=(size, size))
    _, part = connected_components(graph, directed=False)
    places = np.argsort(part[rows], kind="stable")
    return np.split(places, np.flatnonzero(np.diff(part[rows][places])) + 1)
