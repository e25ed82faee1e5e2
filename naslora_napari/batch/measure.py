"""One row per object, one per image."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage
from skimage.measure import regionprops_table

#: Images have at most so many channels.
MOST_CHANNELS = 4
#: So many pixels are measured at once, and as many more as their objects reach beyond them.
BAND = 1 << 22
#: Properties of scikit-image, in pixels.
PROPERTIES = (
    "label", "area", "perimeter", "centroid", "bbox", "axis_major_length", "axis_minor_length", "orientation",
    "equivalent_diameter_area", "feret_diameter_max", "eccentricity", "solidity", "extent", "euler_number",
    "intensity_mean", "intensity_min", "intensity_max", "intensity_std",
)  # fmt: skip
#: Those that are lengths or areas, with the name they have in micrometres. The perimeter needs square pixels.
PHYSICAL = {
    "area": "area_um2", "centroid-0": "centroid_row_um", "centroid-1": "centroid_col_um",
    "axis_major_length": "axis_major_length_um", "axis_minor_length": "axis_minor_length_um",
    "equivalent_diameter_area": "equivalent_diameter_um", "feret_diameter_max": "feret_diameter_max_um",
    "perimeter": "perimeter_um",
}  # fmt: skip
CHANNELS = tuple(f"intensity_{what}_{c}" for c in range(1, MOST_CHANNELS + 1) for what in ("mean", "std", "min", "max"))
#: Columns that are text.
TEXTS = ("image", "plane", "class")
COLUMNS = (
    "image", "plane", "label", "class", "confidence", "touches_border", "area", "perimeter", "centroid_row",
    "centroid_col", "bbox_row0", "bbox_col0", "bbox_row1", "bbox_col1", "axis_major_length", "axis_minor_length",
    "orientation",
    "equivalent_diameter", "feret_diameter_max", "eccentricity", "solidity", "extent", "euler_number",
    "pixel_height_um", "pixel_width_um", *PHYSICAL.values(), "intensity_mean", *CHANNELS,
)  # fmt: skip
SUMMARY = (
    "image", "status", "reason", "objects", "touching_border", "covered", "area_mean", "area_median", "confidence_mean",
    "confidence_min", "pixel_height_um", "pixel_width_um", "planes", "rows", "cols",
)  # fmt: skip
#: What the columns of the summary begin with that count the objects of a class.
OF_CLASS = "objects_"
_NAMES = {
    "centroid-0": "centroid_row", "centroid-1": "centroid_col",
    "bbox-0": "bbox_row0", "bbox-1": "bbox_col0", "bbox-2": "bbox_row1", "bbox-3": "bbox_col1",
    "equivalent_diameter_area": "equivalent_diameter",
}  # fmt: skip


def measure(
    name: str,
    image: Any,
    labels: np.ndarray,
    confidence: np.ndarray,
    pixel_um: tuple[float, float] | None = None,
    classes: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Return a row for each object of one image.

    Parameters
    ----------
    name : str
        Of the image.
    image : array
        (H, W) or (H, W, C), numpy or what is sliced like it: intensities are in its own units, those of channels
        beyond C None; ``intensity_mean`` is the mean over channels.
    labels : ndarray
        (H, W) int32, 1..N.
    confidence : ndarray
        (N,) float.
    pixel_um : (float, float), optional
        Height and width of a pixel in micrometres; without them the physical columns are None.
    classes : sequence of str, optional
        The class of each of the N objects.
    """
    parts = [_measured(image, labels, band, pixel_um) for band in _bands(labels)]
    columns = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    columns = {key: values[np.argsort(columns["label"])] for key, values in columns.items()}
    height, width = labels.shape
    edges = (columns["bbox_row0"] == 0) | (columns["bbox_col0"] == 0)
    edges |= (columns["bbox_row1"] == height) | (columns["bbox_col1"] == width)
    columns["touches_border"] = edges.astype(int)
    columns["confidence"] = np.asarray(confidence, float)[columns["label"] - 1]
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    fixed = dict.fromkeys(COLUMNS) | {"image": name} | _sides(pixel_um)
    return [fixed | {"plane": "", "class": classes[row["label"] - 1] if classes else ""} | row for row in rows]


def summarise(
    name: str, rows: list[dict[str, Any]], shape: tuple[int, ...], pixel_um: tuple[float, float] | None
) -> dict[str, Any]:
    """Return the row of an image of ``shape`` (H, W) in the summary, of the rows of its objects.

    ``covered`` is the share of pixels in objects; areas are in pixels. ``objects_<class>`` is how many are of a class,
    of those that are there.
    """
    classes = Counter(row["class"] for row in rows if row["class"])
    areas = [float(row["area"]) for row in rows]
    confidence = [float(row["confidence"]) for row in rows]
    found: dict[str, Any] = {
        "image": name,
        "status": "done",
        "objects": len(rows),
        "touching_border": sum(int(row["touches_border"]) for row in rows),
        "covered": sum(areas) / max(1, shape[0] * shape[1]),
        "planes": 1,
        "rows": shape[0],
        "cols": shape[1],
    }
    if rows:
        found |= {"area_mean": float(np.mean(areas)), "area_median": float(np.median(areas))}
        found |= {"confidence_mean": float(np.mean(confidence)), "confidence_min": min(confidence)}
    return found | _sides(pixel_um) | {OF_CLASS + name: count for name, count in classes.items()}


@dataclass(frozen=True)
class _Band:
    """Rows of an image, and the objects that are measured in them: those that begin in the first of these rows."""

    rows: slice
    begin: np.ndarray


def _bands(labels: np.ndarray) -> list[_Band]:
    """Return bands that hold each object once, as a whole; at least one band."""
    spans = [(number, box[0]) for number, box in enumerate(ndimage.find_objects(labels), start=1) if box is not None]
    high = max(1, BAND // max(1, labels.shape[1]))
    groups: dict[int, list[tuple[int, slice]]] = {}
    for number, rows in spans:
        groups.setdefault(rows.start // high, []).append((number, rows))
    found = [
        _Band(
            slice(min(rows.start for _, rows in group), max(rows.stop for _, rows in group)),
            np.array([number for number, _ in group]),
        )
        for _, group in sorted(groups.items())
    ]
    return found or [_Band(slice(0, min(1, len(labels))), np.zeros(0, int))]


def _measured(
    image: Any, labels: np.ndarray, band: _Band, pixel_um: tuple[float, float] | None
) -> dict[str, np.ndarray]:
    """Return the columns of the objects of a band."""
    pixels = np.asarray(image[band.rows])
    channels = (pixels if pixels.ndim == 3 else pixels[..., None])[..., :MOST_CHANNELS]
    begin = np.zeros(int(labels[band.rows].max(initial=0)) + 1, np.int32)
    begin[band.begin] = band.begin
    part = begin[labels[band.rows]]
    columns = _properties(part, channels)
    if pixel_um is not None:
        columns |= _physical(part, pixel_um)
        columns["centroid_row_um"] = columns["centroid_row_um"] + band.rows.start * pixel_um[0]
    for key in ("centroid_row", "bbox_row0", "bbox_row1"):
        columns[key] = columns[key] + band.rows.start
    return columns


def _properties(labels: np.ndarray, channels: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns in pixels and in the units of the image."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hulls of objects of a few pixels
        exact = channels if channels.dtype.kind in "iu" else channels.astype(float)  # numpy sums float32 in float32
        table = regionprops_table(labels, exact, properties=PROPERTIES)
    means = [table[f"intensity_mean-{c}"] for c in range(channels.shape[2])]
    columns = {_NAMES.get(key, key): values for key, values in table.items() if not key.startswith("intensity")}
    for key, values in table.items():
        what, dash, channel = key.partition("-")
        if what.startswith("intensity") and dash:
            columns[f"{what}_{int(channel) + 1}"] = values
    columns["intensity_mean"] = np.mean(means, axis=0)
    return columns


def _physical(labels: np.ndarray, pixel_um: tuple[float, float]) -> dict[str, np.ndarray]:
    """Return the columns in micrometres."""
    square = pixel_um[0] == pixel_um[1]
    wanted = dict.fromkeys(key.partition("-")[0] for key in PHYSICAL if square or key != "perimeter")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = regionprops_table(labels, properties=tuple(wanted), spacing=pixel_um)
    return {PHYSICAL[key]: values for key, values in table.items()}


def _sides(pixel_um: tuple[float, float] | None) -> dict[str, Any]:
    return dict(zip(("pixel_height_um", "pixel_width_um"), pixel_um or (None, None), strict=True))
