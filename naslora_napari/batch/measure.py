"""One row per object."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from skimage.measure import regionprops_table

from naslora_trainer.files import saving

#: Properties of scikit-image, in pixels.
PROPERTIES = ("label", "area", "centroid", "bbox", "eccentricity", "solidity", "intensity_mean")
COLUMNS = (
    "image", "label", "area", "centroid_row", "centroid_col", "bbox_row0", "bbox_col0", "bbox_row1", "bbox_col1",
    "eccentricity", "solidity", "intensity_mean", "touches_border", "confidence",
)  # fmt: skip
_NAMES = {
    "centroid-0": "centroid_row", "centroid-1": "centroid_col",
    "bbox-0": "bbox_row0", "bbox-1": "bbox_col0", "bbox-2": "bbox_row1", "bbox-3": "bbox_col1",
}  # fmt: skip


def measure(name: str, image: np.ndarray, labels: np.ndarray, confidence: np.ndarray) -> list[dict[str, Any]]:
    """Return a row for each object of one image.

    Parameters
    ----------
    name : str
        Of the image.
    image : ndarray
        (H, W) or (H, W, C): ``intensity_mean`` is its mean over channels, in its own units.
    labels : ndarray
        (H, W) int32, 1..N.
    confidence : ndarray
        (N,) float.
    """
    gray = image.astype(float).mean(axis=2) if image.ndim == 3 else image.astype(float)
    table = regionprops_table(labels, gray, properties=PROPERTIES)
    columns = {_NAMES.get(key, key): values for key, values in table.items()}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    height, width = labels.shape
    for row in rows:
        row["image"] = name
        row["confidence"] = round(float(confidence[int(row["label"]) - 1]), 4)
        touches = row["bbox_row0"] == 0 or row["bbox_col0"] == 0
        row["touches_border"] = int(touches or row["bbox_row1"] == height or row["bbox_col1"] == width)
    return rows


def write_csv(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows to a CSV file, atomically.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    with saving(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({key: _short(row[key]) for key in COLUMNS} for row in rows)


def read_csv(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of :func:`write_csv`, as text; none if it is missing or of another kind."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        return list(reader) if tuple(reader.fieldnames or ()) == COLUMNS else []


def _short(value: Any) -> Any:
    return round(float(value), 4) if isinstance(value, float | np.floating) else value
