"""How doubtful objects and images of a run are, and which ones pass the limits that a person sets."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from .found import FoundObjects, FoundRun

Quantity = Literal["area", "confidence", "count"]
QUANTITIES: tuple[Quantity, ...] = ("area", "confidence", "count")
Range = tuple[float, float]
ANY: Range = (-math.inf, math.inf)
#: An object that is cut off by the edge of the image is so much less certain; one of an unusual size, at most so much.
BORDER, SIZE = 0.1, 0.5
#: A size or a number is unusual from so many standard deviations on, and entirely so from the second number on.
UNUSUAL: Range = (2.0, 5.0)
#: Where all are of nearly the same size, differences below this do not count, as natural logarithm.
LEAST_SPREAD = 0.1
#: With fewer of them nothing is unusual.
FEWEST = 8
#: An image is as doubtful as this share of its objects, the most doubtful ones.
TAIL = 0.25
#: An object is called doubtful from here on.
DOUBTFUL = 0.5


@dataclass(frozen=True)
class Limits:
    """What passes: values from the first to the second number of each pair, both included.

    Attributes
    ----------
    area, confidence : (low, high)
        Of an object, in the run's own unit.
    count : (low, high)
        Objects in an image.
    """

    area: Range = ANY
    confidence: Range = ANY
    count: Range = ANY

    def but(self, quantity: Quantity, low: float, high: float) -> Limits:
        """Return limits with another pair; the numbers may come in any order."""
        return replace(self, **{quantity: (min(low, high), max(low, high))})

    def failing(self, objects: FoundObjects) -> np.ndarray:
        """Return which objects do not pass, bool. One of unknown confidence passes."""
        return _outside(objects.area, self.area) | _outside(objects.confidence, self.confidence)

    def failing_images(self, run: FoundRun) -> np.ndarray:
        """Return which images do not pass, bool: their number of objects does not, or one of these."""
        objects = run.objects
        worst = np.bincount(objects.image[self.failing(objects)], minlength=len(run.names)) > 0
        return worst | _outside(run.counts.astype(float), self.count)

    def to_json(self) -> dict[str, Any]:
        """Return them as JSON values; null: no limit."""
        return {
            quantity: [None if math.isinf(edge) else edge for edge in getattr(self, quantity)]
            for quantity in QUANTITIES
        }

    @classmethod
    def from_json(cls, content: Any) -> Limits:
        """Return limits of JSON values; what is no limit is left out."""
        found = cls()
        for quantity in QUANTITIES if isinstance(content, dict) else ():
            pair = content.get(quantity)
            if isinstance(pair, list) and len(pair) == 2 and all(_is_edge(edge) for edge in pair):
                low, high = (none if edge is None else float(edge) for edge, none in zip(pair, ANY, strict=True))
                found = found.but(quantity, low, high)
        return found


def doubts(objects: FoundObjects) -> np.ndarray:
    """Return how doubtful each object is, 0 to 1.

    It is right with the chance of its confidence (1 where that is unknown), less by :data:`BORDER` where it is cut off
    by the edge of the image, and by up to :data:`SIZE` where its size is unusual among all objects of the run.
    """
    sure = np.where(np.isnan(objects.confidence), 1.0, objects.confidence)
    return 1 - sure * (1 - BORDER * objects.border) * (1 - SIZE * _unusual(np.log(objects.area)))


def image_doubts(run: FoundRun, of_objects: np.ndarray) -> np.ndarray:
    """Return how doubtful each image is, 0 to 1: as the most doubtful of its objects, and as its number of objects is.

    Parameters
    ----------
    run : FoundRun
        All images.
    of_objects : ndarray
        What :func:`doubts` returned. An image without objects counts as if it had one of which nothing is known.
    """
    worst = np.full(len(run.names), DOUBTFUL)
    for image in np.flatnonzero(run.counts):
        own = np.sort(of_objects[run.of(int(image))])
        worst[image] = own[-math.ceil(TAIL * len(own)) :].mean()
    return 1 - (1 - worst) * (1 - SIZE * _unusual(np.log1p(run.counts)))


def _unusual(values: np.ndarray) -> np.ndarray:
    """Return how unusual each value is among all of them, 0 to 1, whatever the others look like (median and MAD)."""
    if len(values) < FEWEST:
        return np.zeros(len(values))
    away = np.abs(values - np.median(values))
    spread = max(1.4826 * float(np.median(away)), LEAST_SPREAD)
    return np.clip((away / spread - UNUSUAL[0]) / (UNUSUAL[1] - UNUSUAL[0]), 0, 1)


def _outside(values: np.ndarray, limits: Range) -> np.ndarray:
    return (values < limits[0]) | (values > limits[1])


def _is_edge(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and abs(value) < 1e15)
