"""Labelled images as a model sees them in a training: whole, or the parts of large ones around their objects."""

from __future__ import annotations

import numpy as np

from naslora_trainer.data import TrainingImage, boxes_in
from naslora_trainer.pictures import Picture, factor_of
from naslora_trainer.regions import MOST_SEEN, regions_around

from .records import Annotation


def training_images(
    name: str, source: str, picture: Picture, annotation: Annotation, frame: int
) -> list[TrainingImage]:
    """Return what a training learns from one image.

    A large image is seen in parts, as the live predictor sees it (see :mod:`naslora_trainer.regions`): as a whole, a
    cell of 20 pixels would be less than one pixel of the model's input.

    Parameters
    ----------
    name, source : str
        The image, and what it is a plane of (or its own name).
    picture, annotation : Picture, Annotation
        Its pixels, of which only those parts are read, and its labels.
    frame : int
        Side of the model's input, in pixels.
    """
    labels, complete = annotation.labels, annotation.complete
    boxes = [(float(r0), float(c0), float(r1), float(c1)) for r0, c0, r1, c1 in boxes_in(labels).values()]
    regions = regions_around(picture.shape, boxes, frame)
    if len(regions) == 1 and regions[0].side == max(picture.shape):
        return [TrainingImage(name, picture.whole(), labels, complete, "" if source == name else source)]
    found = []
    for region in regions:
        pixels = picture.rgb8(region.window, MOST_SEEN)
        step = factor_of(region.window, MOST_SEEN)
        rows, cols = (
            np.minimum(first + step * np.arange(count), last - 1)
            for first, count, last in zip(region.edges[:2], pixels.shape, region.edges[2:], strict=False)
        )
        place = f"{name} at {region.row0}, {region.col0}"
        found.append(TrainingImage(place, pixels, labels[np.ix_(rows, cols)], complete, source))
    return found
