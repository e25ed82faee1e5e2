"""Tables and the ledger hold what was written, and survive a cut anywhere."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naslora_napari.batch.ledger import Ledger
from naslora_napari.batch.measure import COLUMNS, measure, summarise
from naslora_napari.batch.table import Table

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
VALUES = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-(10**6), 10**6) | st.none()


@settings(max_examples=15)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=8), st.data())
def test_a_table_reads_back_and_a_cut_costs_the_last_rows(found: list[tuple[str, Any]], data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        table = Table(Path(folder) / "t.csv", ("image", "value", "end"))
        table.start()
        for name, value in found:
            table.append([{"image": name, "value": value, "end": 1}])
        whole = list(table.rows())
        assert [row["image"] for row in whole] == [name for name, _ in found]
        for row, (_, value) in zip(whole, found, strict=True):
            if value is None or not math.isfinite(value):
                assert row["value"] == ""
            else:
                assert float(row["value"]) == pytest.approx(value, rel=1e-6)
        content = table.path.read_bytes()
        table.path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        cut = list(table.rows())
        assert cut == whole[: len(cut)]
        table.start(lambda row: row["image"] == "kept")
        assert list(table.rows()) == [row for row in cut if row["image"] == "kept"]


@settings(max_examples=15)
@given(st.lists(NAMES, max_size=8), st.data())
def test_a_ledger_that_is_cut_or_damaged_tells_a_beginning(names: list[str], data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "l.jsonl", {"base": "a"})
        ledger.start()
        for name in names:
            ledger.add({"name": name, "objects": 1})
        assert [entry["name"] for entry in ledger.entries()] == names
        assert not list(Ledger(ledger.path, {"base": "b"}).entries())
        content = ledger.path.read_bytes()
        at = data.draw(st.integers(0, len(content)))
        ledger.path.write_bytes(content[:at] + data.draw(st.sampled_from([b"", b"\xff\n", b"[1]\n", b"[" * 99999])))
        rest = [entry["name"] for entry in ledger.entries()]
        assert rest == names[: len(rest)]
        ledger.start(lambda entry: True)
        assert ledger.same_settings and [entry["name"] for entry in ledger.entries()] == rest


@settings(max_examples=10)
@given(
    st.integers(1, 16), st.integers(1, 16), st.integers(0, 4), st.sampled_from([0, 2, 3, 4]), st.integers(0, 2**32 - 1)
)
def test_every_object_has_a_row_that_agrees_with_its_pixels(
    height: int, width: int, most: int, channels: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(0, most + 1, (height, width)).astype(np.int32)
    image = random.integers(0, 255, (height, width, channels) if channels else (height, width)).astype(np.uint8)
    rows = measure("a", image, labels, np.full(most, 0.25), (0.5, 0.25))
    assert [row["label"] for row in rows] == np.unique(labels[labels > 0]).tolist()
    for row in rows:
        mask = labels == row["label"]
        assert set(row) == set(COLUMNS) and row["area"] == mask.sum() and row["confidence"] == 0.25
        assert row["area_um2"] == pytest.approx(mask.sum() * 0.125) and row["perimeter_um"] is None
        inner = mask[1:-1, 1:-1].sum() if min(height, width) > 2 else 0
        assert bool(row["touches_border"]) == (inner < mask.sum())
        values = image[mask].reshape(mask.sum(), -1)
        assert row["intensity_mean"] == pytest.approx(values.mean())
        assert row["intensity_max_1"] == values[:, 0].max() and (row["intensity_mean_4"] is None) == (channels < 4)
    with pytest.MonkeyPatch.context() as patch:  # a large image is measured in bands of rows
        patch.setattr("naslora_napari.batch.measure.BAND", 3 * width)
        for row, banded in zip(rows, measure("a", image, labels, np.full(most, 0.25), (0.5, 0.25)), strict=True):
            assert banded == {key: value if value is None else pytest.approx(value) for key, value in row.items()}
    summary = summarise("a", rows, labels.shape, None)
    assert summary["objects"] == len(rows) and summary["covered"] == pytest.approx((labels > 0).mean())
