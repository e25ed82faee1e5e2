"""One row per object of a stack or series, made of its rows in the planes: volume and depth, or from when to when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from .ledger import Entry
from .table import Row

#: Columns that are text.
TEXTS = ("image", "class", "axis", "elsewhere")
COLUMNS = (
    "image", "label", "class", "confidence", "touches_border", "axis", "elsewhere", "planes", "first", "last",
    "area_mean", "volume", "centroid_plane", "centroid_row", "centroid_col", "intensity_mean",
    "voxel_depth_um", "pixel_height_um", "pixel_width_um",
    "volume_um3", "centroid_depth_um", "centroid_row_um", "centroid_col_um",
)  # fmt: skip
#: Along this axis an object has no volume.
TIME = "t"


def linked_rows(rows: Iterable[Mapping[str, str]], stacks: Mapping[str, Entry]) -> Iterator[Row]:
    """Yield a row for each object of the stacks in a table of objects.

    Parameters
    ----------
    rows : iterable of mapping
        Of the table, as text; those of an image come one after the other.
    stacks : mapping of str to dict
        By the name of each stack ``axes``, ``planes`` and ``depth_um``, as in the ledger. Other images are left out.
    """
    for name, own in groupby(rows, key=lambda row: row["image"]):
        if name in stacks:
            found: dict[int, list[Mapping[str, str]]] = {}
            for row in own:
                found.setdefault(int(row["label"]), []).append(row)
            yield from (_linked(found[label], stacks[name]) for label in sorted(found))


def _linked(rows: Sequence[Mapping[str, str]], stack: Entry) -> Row:
    """Return the row of one object, of those in its planes."""
    areas = [float(row["area"]) for row in rows]
    *elsewhere, _ = rows[0]["plane"].split(",")
    places = [int(row["plane"].rpartition(",")[2]) for row in rows]
    axis, last = stack["axes"][-1], stack["planes"][-1] - 1
    cut = any(row["touches_border"] == "1" for row in rows) or (axis != TIME and not {0, last}.isdisjoint(places))

    def mean(values: Iterable[float]) -> float:
        return sum(value * area for value, area in zip(values, areas, strict=True)) / sum(areas)

    found: Row = {key: rows[0][key] for key in ("image", "class", "pixel_height_um", "pixel_width_um")}
    found |= {
        "label": int(rows[0]["label"]),
        "confidence": sum(float(row["confidence"]) for row in rows) / len(rows),
        "touches_border": int(cut),
        "axis": axis,
        "elsewhere": ",".join(elsewhere),
        "planes": len(rows),
        "first": min(places),
        "last": max(places),
        "area_mean": sum(areas) / len(areas),
    }
    for key in ("centroid_row", "centroid_col", "centroid_row_um", "centroid_col_um", "intensity_mean"):
        found[key] = mean(float(row[key]) for row in rows) if all(row[key] for row in rows) else None
    if axis == TIME:
        return found
    found |= {"volume": round(sum(areas)), "centroid_plane": mean(places)}
    depth: Any = stack.get("depth_um") if axis == "z" else None
    if depth is not None:
        found |= {"voxel_depth_um": depth, "centroid_depth_um": depth * found["centroid_plane"]}
        if rows[0]["area_um2"]:
            found["volume_um3"] = depth * sum(float(row["area_um2"]) for row in rows)
    return found
