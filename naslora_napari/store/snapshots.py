"""Labelled images as a model sees them in a training: whole, or the parts of large ones around their objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from naslora_trainer.data import Roi, TrainingImage, boxes_in
from naslora_trainer.pictures import Picture, factor_of
from naslora_trainer.regions import MOST_SEEN, Region, regions_around

from .records import Annotation, ClassInfo

#: Around a click on the background so much of an image's long side is taken for background; a pixel of a head's answer
#: is a 256th.
AROUND_CLICK = 0.01


def training_images(
    name: str,
    source: str,
    picture: Picture,
    annotation: Annotation,
    frame: int,
    classes: Sequence[ClassInfo] = (),
) -> list[TrainingImage]:
    """Return what a training learns from one image.

    A large image is seen in parts, as the live predictor sees it (see :mod:`naslora_trainer.regions`): as a whole, a
    cell of 20 pixels would be less than one pixel of the model's input.

    Parameters
    ----------
    name, source : str
        The image, and what it is a plane of (or its own name).
    picture, annotation : Picture, Annotation
        Its pixels, of which only those parts are read, and its labels; what waits for a person is left out.
    frame : int
        Side of the model's input, in pixels.
    classes : sequence of ClassInfo
        Those of the project; one alone says nothing.
    """
    accepted = annotation.accepted()
    names = {info.id: info.name for info in classes} if len(classes) > 1 else {}
    of = {key: names[info.class_id] for key, info in accepted.objects.items() if info.class_id in names}
    order = tuple(names.values())
    beside = clicks_beside(accepted)
    return [
        replace(part, classes=of, class_order=order)
        for part in _parts(name, source, picture, accepted, annotation.labels, beside, frame)
    ]


def clicks_beside(annotation: Annotation) -> np.ndarray:
    """Return the clicks (N, 2) on the background with which the objects of an image were made."""
    prompts = [info.prompts for info in annotation.objects.values() if info.prompts is not None]
    return np.array([point for of_object in prompts for point in of_object.beside]).reshape(-1, 2)


def _parts(
    name: str,
    source: str,
    picture: Picture,
    annotation: Annotation,
    everything: np.ndarray,
    beside: np.ndarray,
    frame: int,
) -> list[TrainingImage]:
    """Return the image, or the parts of a large one.

    ``everything`` are its labels with those that wait for a person, ``beside`` clicks (N, 2) on the background.
    """
    labels, marks = annotation.labels, annotation.marks
    boxes = [(float(r0), float(c0), float(r1), float(c1)) for r0, c0, r1, c1 in boxes_in(labels).values()]
    regions = regions_around(picture.shape, boxes, frame)
    if len(regions) == 1 and regions[0].side == max(picture.shape):
        of, nothing = "" if source == name else source, around_clicks(beside, everything)
        return [TrainingImage(name, picture.whole(), labels, marks.complete, of, marks.rois, nothing=nothing)]
    found = []
    for region in regions:
        pixels = picture.rgb8(region.window, MOST_SEEN)
        step = factor_of(region.window, MOST_SEEN)
        rows, cols = (
            np.minimum(first + step * np.arange(count), last - 1)
            for first, count, last in zip(region.edges[:2], pixels.shape, region.edges[2:], strict=False)
        )
        place = f"{name} at {region.row0}, {region.col0}"
        rois = tuple(part for roi in marks.rois if (part := _within(roi, region, step, pixels.shape)))
        seen = np.ix_(rows, cols)
        nothing = around_clicks((beside - (region.row0, region.col0)) / step, everything[seen])
        found.append(
            TrainingImage(place, pixels, labels[seen], marks.complete, source, rois, step=step, nothing=nothing)
        )
    return found


def around_clicks(clicks: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
    """Return (H, W) bool: what lies around clicks on the background, (N, 2) in pixels of ``labels``.

    A click on an object tells where another one ends, and none goes over the edge of an object. None: there is nothing.
    """
    if not len(clicks):
        return None
    nothing = np.zeros(labels.shape, bool)
    radius = max(1.0, AROUND_CLICK * max(labels.shape))
    for row, col in clicks:
        middle = round(row), round(col)
        if not all(0 <= place < size for place, size in zip(middle, labels.shape, strict=True)) or labels[middle]:
            continue
        (row0, row1), (col0, col1) = ((max(0, int(at - radius)), int(at + radius) + 1) for at in middle)
        rows, cols = np.ogrid[row0 : min(row1, labels.shape[0]), col0 : min(col1, labels.shape[1])]
        nothing[row0:row1, col0:col1] |= np.hypot(rows - middle[0], cols - middle[1]) <= radius
    nothing &= labels == 0
    return nothing if nothing.any() else None


def _within(roi: Roi, region: Region, step: int, shape: tuple[int, ...]) -> Roi | None:
    """Return the part of a region of interest that lies in a region of which every ``step``-th pixel is seen."""
    row0, col0, row1, col1 = (
        max(0, min(-(-(edge - first) // step), size))
        for edge, first, size in zip(roi, (region.row0, region.col0) * 2, shape[:2] * 2, strict=True)
    )
    return (row0, col0, row1, col1) if row0 < row1 and col0 < col1 else None
