"""Label images, alone or in folders: one number for each object, or one file for each object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from naslora_trainer.data import areas_in
from naslora_trainer.errors import UserError
from naslora_trainer.images import check_same_size, image_size, list_images, read_labels

from .matching import plain_name
from .neutral import Found, Labelled, Plane, Region, Size, paint
from .outlines import cropped
from .scale import label_type, write_tiff

IMAGES, MASKS = "images", "masks"
#: A file of another kind has lost the numbers.
LOSSLESS = (".tif", ".tiff", ".png")


def read(path: Path) -> Iterator[Found]:
    """Yield what a label image says about the image of its name, which may lie in a folder ``images`` beside."""
    name = plain_name(path.stem)
    folders = [path.parent.with_name(IMAGES), path.parent / IMAGES, *([path.parent] if name != path.stem else [])]
    yield Found(name, partial(_draw, path), image_size(path), tuple(folders), path)


def _draw(path: Path, size: Size) -> Plane:
    check_same_size(size, image_size(path), "its image", path)
    plane = Plane(read_labels(path))
    ids = list(areas_in(plane.labels))
    if ids in ([1], [255]):
        plane.notes.append(f"{path.name} has a single object: should it be a mask of several, number them first.")
    return plane


def read_one_by_one(folder: Path) -> Iterator[Found]:
    """Yield what a folder ``ID/`` of the Data Science Bowl says: ``images/`` with one, ``masks/`` with one per object.

    Raises
    ------
    UserError
        There is not one image.
    """
    images = list_images(folder / IMAGES)
    if len(images) != 1:
        raise UserError(f"{folder / IMAGES} has {len(images)} images; one is expected.")
    masks = list_images(folder / MASKS)
    yield Found(images[0].name, partial(_draw_one_by_one, masks), image_size(images[0]), (folder / IMAGES,))


def _draw_one_by_one(masks: list[Path], size: Size) -> Plane:
    return paint(size, masks, _region)


def _region(path: Path, size: Size) -> Region | None:
    check_same_size(size, image_size(path), "its image", path)
    found = cropped(read_labels(path) > 0, (0, 0))
    return None if found is None else Region(*found)


def write(images: Iterable[Labelled], folder: Path) -> None:
    """Write a label image for each image."""
    for image in images:
        _write_labels(folder / f"{image.name}.tif", image)


def write_pairs(images: Iterable[Labelled], folder: Path) -> None:
    """Write ``images/`` and ``masks/`` of the same names, for StarDist, Cellpose and others to train with."""
    for name in (IMAGES, MASKS):
        (folder / name).mkdir()
    for image in images:
        _write_labels(folder / MASKS / f"{image.name}.tif", image)
        pixels = np.asarray(image.picture().levels[0])
        axes = "yxs" if pixels.ndim == 3 else "yx"
        path = folder / IMAGES / f"{image.name}.tif"
        write_tiff(path, pixels, pixels.shape, pixels.dtype, axes, image.pixel_size())


def _write_labels(path: Path, image: Labelled) -> None:
    """Write labels, in 16 bits where they fit."""
    labels = image.labels
    write_tiff(path, labels, labels.shape, label_type(labels.max(initial=0)), "yx", image.pixel_size())


def label_images_in(folder: Path) -> list[Path]:
    """Return the files of a folder that can be label images; where some are named so, these only."""
    try:
        found = [path for path in list_images(folder) if path.suffix.lower() in LOSSLESS and path.is_file()]
    except UserError:  # there are none
        return []
    return [path for path in found if plain_name(path.stem) != path.stem] or found
