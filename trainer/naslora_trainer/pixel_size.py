"""How large a pixel or voxel is in the world, from the metadata of a file. What is absurd counts as unknown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import tifffile

from .decode import is_tiff, is_zarr
from .ome import ome_attributes, ome_xml

#: Micrometres in a unit, by the names that files use.
UNITS = {
    "nm": 1e-3,
    "nanometer": 1e-3,
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "micrometer": 1.0,
    "mm": 1e3,
    "millimeter": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "m": 1e6,
    "meter": 1e6,
    "inch": 25400.0,
}
#: A pixel that is smaller or larger, in micrometres, is none.
SMALLEST, LARGEST = 1e-6, 1e9
#: TIFF's resolution unit: 2 is the inch, 3 the centimetre.
_TIFF_UNITS = {2: "inch", 3: "cm"}


def pixel_size(path: Path | str) -> tuple[float, float] | None:
    """Return the height and width of a pixel in micrometres, or None where the file does not tell.

    Known are OME-TIFF, ImageJ, the resolution of a TIFF in inches or centimetres, and OME-Zarr.
    """
    found = _sides(Path(path), "yx")
    return None if found is None else (found[0], found[1])


def voxel_depth(path: Path | str) -> float | None:
    """Return how far the planes of a stack are from each other in micrometres, or None where the file does not tell.

    Known are OME-TIFF, ImageJ and OME-Zarr.
    """
    found = _sides(Path(path), "z")
    return None if found is None else found[0]


def _sides(path: Path, axes: str) -> tuple[float, ...] | None:
    """Return how long a voxel is along some axes, in micrometres."""
    try:
        found = _of_zarr(path, axes) if is_zarr(path) else _of_tiff(path, axes) if is_tiff(path) else None
    except Exception:  # metadata from outside is of any shape
        return None
    sensible = found is not None and all(math.isfinite(side) and SMALLEST <= side <= LARGEST for side in found)
    return found if sensible else None


def _of_tiff(path: Path, axes: str) -> tuple[float, ...] | None:
    with tifffile.TiffFile(path) as tiff:
        xml = ome_xml(tiff)
        if xml is not None:
            return _of_ome(xml, axes)
        if axes == "z":
            told = tiff.imagej_metadata or {}
            return (UNITS[_unit(told)] * float(told["spacing"]),)
        page: Any = tiff.pages[0]
        if "XResolution" not in page.tags or "YResolution" not in page.tags:
            return None
        unit = _TIFF_UNITS.get(int(page.tags["ResolutionUnit"].value) if "ResolutionUnit" in page.tags else 0, "")
        if tiff.is_imagej:
            unit = _unit(tiff.imagej_metadata or {})
        if unit not in UNITS:
            return None
        rows, cols = (page.tags[name].value for name in ("YResolution", "XResolution"))
        return UNITS[unit] * rows[1] / rows[0], UNITS[unit] * cols[1] / cols[0]


def _unit(told: Mapping[str, Any]) -> str:
    """Return the unit that ImageJ names."""
    return str(told.get("unit", "")).replace("\\u00B5", "µ")


def _of_ome(xml: ElementTree.Element, axes: str) -> tuple[float, ...] | None:
    pixels = xml.find(".//{*}Pixels")
    if pixels is None or any(f"PhysicalSize{axis}" not in pixels.attrib for axis in axes.upper()):
        return None
    return tuple(
        float(pixels.attrib[f"PhysicalSize{axis}"]) * UNITS[pixels.attrib.get(f"PhysicalSize{axis}Unit", "µm")]
        for axis in axes.upper()
    )


def _of_zarr(path: Path, axes: str) -> tuple[float, ...] | None:
    import zarr

    (multiscale, *_) = ome_attributes(zarr.open_group(path, mode="r"))["multiscales"]
    names = [axis["name"] for axis in multiscale["axes"]]
    units = {axis["name"]: axis.get("unit", "") for axis in multiscale["axes"]}
    transforms = multiscale["datasets"][0]["coordinateTransformations"]
    scale = next(transform["scale"] for transform in transforms if transform["type"] == "scale")
    return tuple(float(scale[names.index(axis)]) * UNITS[units[axis]] for axis in axes)
