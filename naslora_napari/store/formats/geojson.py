"""GeoJSON as QuPath reads and writes it: one file for each image, coordinates in pixels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from naslora_trainer.errors import UserError

from . import checks
from .neutral import Found, Kind, Labelled, Plane, Region, Size, paint
from .outlines import fill, outlines

SUFFIX = ".geojson"
#: Collections of geometries may lie in each other so deep.
DEEPEST = 8


def read(path: Path) -> Iterator[Found]:
    """Yield what a GeoJSON file says about the image of its name."""
    yield Found(path.stem, partial(_draw, path), None, (path.parent, path.parent / "images"))


def write(images: Iterable[Labelled], folder: Path) -> None:
    """Write a file for each image, with polygons that keep every pixel."""
    for image in images:
        write_file(folder / f"{image.name}{SUFFIX}", features(image))


def write_file(path: Path, found: Iterable[dict[str, Any]]) -> None:
    """Write a file of features, one after the other."""
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for number, feature in enumerate(found):
            file.write((",\n" if number else "\n") + json.dumps(feature))
        file.write("\n]}\n")


def features(image: Labelled) -> Iterator[dict[str, Any]]:
    """Yield the objects of an image.

    Of a plane of a stack each tells its plane twice: as QuPath wants it, which knows depth and time, and among the
    properties by the letters of the axes, where programs for maps find it.
    """
    for found in image.regions():
        feature = _feature(*found)
        if index := image.index:
            depth = next((index[axis] for axis in reversed(list(index)) if axis != "t"), 0)
            feature["geometry"]["plane"] = {"c": -1, "z": depth, "t": index.get("t", 0)}
            feature["properties"] |= index
        yield feature


def _feature(key: int, info: Any, region: Region) -> dict[str, Any]:
    pieces = [[_closed(ring) for ring in piece] for piece in outlines(region.mask, region.offset)]
    geometry = (
        {"type": "Polygon", "coordinates": pieces[0]}
        if len(pieces) == 1
        else {"type": "MultiPolygon", "coordinates": pieces}
    )
    properties = {
        "objectType": "annotation",
        "name": str(key),
        "classification": {"name": info.name, "color": checks.rgb(info.color)},
    }
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _closed(ring: np.ndarray) -> list[list[int]]:
    return [*ring.tolist(), ring[0].tolist()]


def _draw(path: Path, size: Size) -> Plane:
    return paint(size, _features(path, checks.read_json(path)), _region)


def _features(path: Path, content: Any) -> list[Any]:
    """Return the features of a collection, a list or a single one."""
    if isinstance(content, dict) and content.get("type") == "FeatureCollection":
        content = content.get("features")
    elif isinstance(content, dict) and "type" in content:
        content = [content]
    if not isinstance(content, list):
        raise UserError(f"{path} is no GeoJSON file: it has no features.")
    return content


def _region(feature: Any, size: Size) -> Region | None:
    properties = feature.get("properties") or {}
    found = fill(list(_polygons(feature.get("geometry", feature), 0)), size)
    return None if found is None else Region(*found, _kind(properties.get("classification")))


def _kind(classification: Any) -> Kind:
    """Return the class of QuPath's classification; of several names the whole, such as "Tumor: Positive"."""
    if isinstance(classification, str):
        return Kind(checks.class_name(classification))
    if not isinstance(classification, dict):
        return Kind()
    names = classification.get("names")
    name = classification.get("name") or (": ".join(map(str, names)) if isinstance(names, list) else "")
    return Kind(checks.class_name(name), checks.color(classification.get("color", classification.get("colorRGB"))))


def _polygons(geometry: Any, depth: int) -> Iterator[list[np.ndarray]]:
    """Yield the polygons of a geometry."""
    kind = geometry.get("type")
    if kind == "Polygon":
        yield [checks.corners(ring) for ring in geometry["coordinates"]]
    elif kind == "MultiPolygon":
        for polygon in geometry["coordinates"]:
            yield [checks.corners(ring) for ring in polygon]
    elif kind == "GeometryCollection" and depth < DEEPEST:
        for part in geometry["geometries"]:
            yield from _polygons(part, depth + 1)
    else:
        raise ValueError(f"is a {checks.class_name(kind) or 'shape of no kind'}, which has no area")
