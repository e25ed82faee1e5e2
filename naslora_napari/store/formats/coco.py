"""COCO: one JSON file for many images, with polygons or run lengths."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from naslora_trainer.errors import UserError

from . import checks, rle
from .neutral import Found, Kind, Labelled, Plane, Region, Size, paint
from .outlines import fill, one_ring, outlines


def read(path: Path) -> Iterator[Found]:
    """Yield what a COCO file says about each of its images.

    Raises
    ------
    UserError
        It is no COCO file.
    """
    content = checks.read_json(path)
    lists = [content.get(key) for key in ("images", "annotations")] if isinstance(content, dict) else [None]
    if not all(isinstance(items, list) for items in lists):
        raise UserError(f"{path} is no COCO file: it has no lists 'images' and 'annotations'.")
    images, annotations = lists
    kinds = dict(_kind(category) for category in content.get("categories") or () if isinstance(category, dict))
    by_image: dict[Any, list[dict[str, Any]]] = {}
    for annotation in annotations or ():
        if isinstance(annotation, dict) and isinstance(annotation.get("image_id"), int | str):
            by_image.setdefault(annotation["image_id"], []).append(annotation)
    for image in images or ():
        if not isinstance(image, dict) or not isinstance(image.get("file_name"), str):
            raise UserError(f"{path} has an image without 'file_name'.")
        key = image.get("id")
        items = by_image.get(key, []) if isinstance(key, int | str) else []
        size = checks.size_of(image.get("height"), image.get("width"))
        yield Found(image["file_name"], partial(_draw, items, kinds), size, (path.parent, path.parent / "images"))


def write(images: Iterable[Labelled], path: Path, polygons: bool = False) -> None:
    """Write a COCO file, with run lengths, which keep every pixel, or polygons.

    Linked stacks are told as CocoVID does: a video of frames, and ``instance_id`` is what an object
    is called in all of them.
    """
    content: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": [], "categories": []}
    videos: dict[str, int] = {}
    for number, image in enumerate(images, 1):
        rows, cols = size = (image.labels.shape[0], image.labels.shape[1])
        content["categories"] = [
            {"id": c.id, "name": c.name, "supercategory": "", "color": checks.rgb(c.color)} for c in image.all_classes
        ]
        entry = {"id": number, "file_name": image.file_name, "height": rows, "width": cols}
        if image.index:
            entry["plane"] = image.index
        of_stack: dict[str, int] = {}
        if image.place is not None:
            of_stack = {"video_id": videos.setdefault(image.place.stack, len(videos) + 1)}
            entry |= of_stack | {"frame_id": image.place.number}
        content["images"].append(entry)
        for key, info, region in image.regions():
            content["annotations"].append(
                {"id": len(content["annotations"]) + 1, "image_id": number, "category_id": info.id}
                | _geometry(region, size, polygons)
                | ({"instance_id": key} | of_stack if of_stack else {})
            )
    if videos:
        content["videos"] = [{"id": number, "name": name} for name, number in videos.items()]
    path.write_text(json.dumps(content), encoding="utf-8")


def write_polygons(images: Iterable[Labelled], path: Path) -> None:
    """Write a COCO file with polygons; a hole is joined to the outer ring by a line there and back."""
    write(images, path, polygons=True)


def _kind(category: dict[str, Any]) -> tuple[int, Kind]:
    name = checks.class_name(category.get("name"))
    return checks.whole(category.get("id")), Kind(name, checks.color(category.get("color")))


def _draw(items: list[dict[str, Any]], kinds: dict[int, Kind], size: Size) -> Plane:
    plane = paint(size, items, partial(_region, kinds))
    crowds = sum(item.get("iscrowd") == 1 for item in items)
    if crowds:
        plane.notes.append(f"{crowds} objects are marked as crowds (iscrowd).")
    return plane


def _region(kinds: dict[int, Kind], item: dict[str, Any], size: Size) -> Region | None:
    kind = kinds.get(item["category_id"], Kind()) if type(item.get("category_id")) is int else Kind()
    shape = item.get("segmentation")
    if isinstance(shape, dict):
        found = rle.decode(shape.get("counts"), shape.get("size"), size)
    elif isinstance(shape, list) and shape:
        found = fill([[_pairs(polygon)] for polygon in shape], size)
    else:
        raise ValueError("has a box only, no outline")
    return None if found is None else Region(*found, kind)


def _pairs(polygon: Any) -> np.ndarray:
    """Return ``[x, y, x, y, ...]`` as ``(n, 2)``."""
    values = checks.numbers(polygon)
    if values.ndim != 1 or len(values) < 6 or len(values) % 2:
        raise ValueError("a polygon has no three points")
    return values.reshape(-1, 2)


def _geometry(region: Region, size: Size, polygons: bool) -> dict[str, Any]:
    height, width = region.mask.shape
    segmentation: Any = {"size": list(size), "counts": rle.encode(region.mask, region.offset, size)}
    if polygons:
        pieces = outlines(region.mask, region.offset)
        segmentation = [[float(v) for v in one_ring([piece]).ravel()] for piece in pieces]
    return {
        "segmentation": segmentation,
        "area": int(region.mask.sum()),
        "bbox": [region.offset[1], region.offset[0], width, height],
        "iscrowd": 0,
    }
