"""ImageJ's regions of interest: a zip file for each image with one ``.roi`` for each object, or a single ``.roi``."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi

from naslora_trainer.errors import UserError

from . import checks
from .neutral import MOST_OBJECTS, Found, Kind, Labelled, Plane, Region, Size, paint
from .outlines import ellipse, fill, outlines

#: Bytes of one region, and of all of a zip file when they are unpacked.
LARGEST_ROI, LARGEST_UNPACKED = 16 * 2**20, 256 * 2**20
#: What ImageJ's manager calls a set that was given no name: it belongs to the only image.
NAMELESS = "roiset"
#: Groups have numbers of up to a byte.
MOST_GROUPS = 255


def read(path: Path) -> Iterator[Found]:
    """Yield what a set of regions says about the image of its name."""
    name = "" if path.stem.casefold() == NAMELESS else path.stem
    yield Found(name, partial(_draw, path), None, (path.parent, path.parent / "images"))


def write(images: Iterable[Labelled], folder: Path) -> None:
    """Write a zip file for each image; classes become groups, and the first part of the names."""
    for image in images:
        groups = {c.id: number for number, c in enumerate(image.all_classes, 1) if number <= MOST_GROUPS}
        with zipfile.ZipFile(folder / f"{image.name}.zip", "w", zipfile.ZIP_DEFLATED) as file:
            for key, info, region in image.regions():
                roi = _roi(region)
                roi.name, roi.group = f"{info.name}-{key}", groups.get(info.id, 0)
                roi.stroke_color = b"\xff" + bytes(checks.rgb(info.color))
                file.writestr(f"{key:06d}.roi", roi.tobytes())


def _roi(region: Region) -> ImagejRoi:
    """Return the outline of an object: one polygon, or a shape of several rings."""
    roi = ImagejRoi()
    (roi.top, roi.left), (height, width) = region.offset, region.mask.shape
    roi.bottom, roi.right = roi.top + height, roi.left + width
    roi.options = ROI_OPTIONS.NONE
    rings = [ring for piece in outlines(region.mask) for ring in piece]
    if len(rings) == 1:
        roi.roitype = ROI_TYPE.TRACED
        roi.integer_coordinates = rings[0].astype(np.int32)
        roi.n_coordinates = len(rings[0])
        return roi
    roi.roitype = ROI_TYPE.RECT
    path: list[float] = []
    for ring in rings:
        moved = ring + (roi.left, roi.top)
        path += [0, *moved[0]]  # move there, draw lines, close
        for corner in moved[1:]:
            path += [1, *corner]
        path.append(4)
    roi.multi_coordinates = np.array(path, np.float32)
    roi.shape_roi_size = len(path)
    return roi


def _draw(path: Path, size: Size) -> Plane:
    checks.check_file(path, LARGEST_UNPACKED)
    if path.suffix.lower() == ".roi":
        return paint(size, [checks.read_bytes(path, LARGEST_ROI)], _region)
    try:
        with zipfile.ZipFile(path) as file:
            return paint(size, _unpacked(path, file), _region)
    except (OSError, zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise UserError(f"{path} could not be unpacked: {error}.") from error
    except zipfile.zlib.error as error:  # type: ignore[attr-defined]
        raise UserError(f"{path} is damaged: {error}.") from error


def _unpacked(path: Path, file: zipfile.ZipFile) -> Iterator[bytes]:
    """Yield the regions in a zip file, after a look at what all of them take; zipfile reads no more than that."""
    members = [member for member in file.infolist() if member.filename.lower().endswith(".roi")]
    if len(members) > MOST_OBJECTS or sum(member.file_size for member in members) > LARGEST_UNPACKED:
        raise UserError(f"{path} has too many or too large regions: {LARGEST_UNPACKED // 2**20} MB are allowed.")
    if not members:
        raise UserError(f"{path} has no regions (.roi) in it.")
    for member in members:
        yield file.read(member)


def _region(content: bytes, size: Size) -> Region | None:
    try:
        roi = ImagejRoi.frombytes(content)
        found = _pixels(roi, size)
    except ValueError:
        raise
    except Exception as error:  # roifile raises nearly everything on damaged regions
        raise ValueError(f"is damaged ({error})") from error
    return None if found is None else Region(*found, _kind(roi))


def _pixels(roi: ImagejRoi, size: Size) -> tuple[np.ndarray, tuple[int, int]] | None:
    """Return the pixels of a region as mask and offset; None where it covers none."""
    if roi.composite:
        rings = [_checked(ring) for ring in roi.coordinates(multi=True)]
        return fill([rings], size) if rings else None
    if roi.roitype in (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED):
        return fill([[_checked(roi.coordinates())]], size)
    if roi.roitype not in (ROI_TYPE.RECT, ROI_TYPE.OVAL):
        raise ValueError(f"is a {roi.roitype.name.lower()}, which has no area")
    edges: tuple[float, ...] = (roi.left, roi.top, roi.right, roi.bottom)
    if roi.subpixelrect:
        edges = (roi.xd, roi.yd, roi.xd + roi.widthd, roi.yd + roi.heightd)
    left, top, right, bottom = checks.numbers([float(edge) for edge in edges])
    if roi.roitype == ROI_TYPE.OVAL:
        return ellipse(((left + right) / 2, (top + bottom) / 2), ((right - left) / 2, (bottom - top) / 2), size)
    return fill([[np.array([[left, top], [right, top], [right, bottom], [left, bottom]])]], size)


def _checked(points: Any) -> np.ndarray:
    """Return coordinates of a region after checking them."""
    found = np.asarray(points, np.float64)
    if len(found) > checks.MOST_CORNERS or not (np.abs(found) <= checks.FARTHEST).all():
        raise ValueError("a coordinate is not finite or too large")
    return found


def _kind(roi: ImagejRoi) -> Kind:
    """Return the class of a region in a group: its name without the number at the end."""
    if not roi.group > 0:
        return Kind()
    stem = re.sub(r"[-_ ]*\d+$", "", checks.class_name(roi.name))
    color = f"#{roi.stroke_color[1:4].hex()}" if roi.stroke_color[0] else ""
    return Kind(stem if re.search(r"[^\W\d_]", stem) else f"group {roi.group}", color)
