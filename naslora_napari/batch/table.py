"""Tables on disk: grown image by image, never held in memory; CSV, or Parquet made of it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from naslora_trainer.errors import UserError
from naslora_trainer.files import saving

from .ledger import append

PARQUET = ".parquet"
#: So many rows are turned into Parquet at once.
GROUP = 20_000
#: A longer line is none of ours.
LONGEST_LINE = 1 << 16
#: Digits that count.
DIGITS = 7

Row = dict[str, Any]


class Table:
    """A CSV file of known columns.

    Parameters
    ----------
    path : Path
        The file.
    columns : sequence of str
        Its columns.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, tuple(columns)

    def rows(self) -> Iterator[Row]:
        """Yield the rows as text; none where the file is missing or has other columns, nor half-written ones."""
        for values in self._whole():
            yield dict(zip(self.columns, values, strict=True))

    def picked(self, *columns: str) -> Iterator[tuple[str, ...]]:
        """Yield two or more columns of each row, which is quicker than all of them."""
        return map(itemgetter(*map(self.columns.index, columns)), self._whole())

    def _whole(self) -> Iterator[list[str]]:
        """Yield the values of each row that is whole."""
        if not self.path.is_file():
            return
        with self.path.open(newline="", encoding="utf-8", errors="replace") as file:
            reader = csv.reader(iter(lambda: file.readline(LONGEST_LINE), ""))
            try:
                if tuple(next(reader, ())) != self.columns:
                    return
                before: list[str] = []
                for values in reader:
                    if before:
                        yield before
                    before = values if len(values) == len(self.columns) else []
                if before and _ends_well(self.path):
                    yield before
            except csv.Error:
                return

    def count(self, column: str) -> Counter[str]:
        """Return how many rows there are of each value of a column."""
        return Counter(row[column] for row in self.rows())

    def start(self, keep: Callable[[Row], bool] = lambda row: False) -> None:
        """Begin the file anew with those of its rows that are kept.

        Raises
        ------
        UserError
            It cannot be written.
        """
        self.replace(row for row in self.rows() if keep(row))

    def replace(self, rows: Iterable[Row]) -> None:
        """Write the whole file, atomically.

        Raises
        ------
        UserError
            It cannot be written.
        """
        with saving(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(self._texts(rows))

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows, on the disk when this returns.

        Raises
        ------
        UserError
            They cannot be written.
        """
        text = io.StringIO(newline="")
        csv.DictWriter(text, self.columns).writerows(self._texts(rows))
        append(self.path, text.getvalue().encode("utf-8"))

    def _texts(self, rows: Iterable[Row]) -> Iterator[Row]:
        return ({key: _short(row.get(key)) for key in self.columns} for row in rows)


def write_parquet(table: Table, path: Path, texts: Sequence[str]) -> None:
    """Write a table as Parquet: columns of ``texts`` as text, the others as float64, empty ones as null.

    Raises
    ------
    UserError
        The file cannot be written, or pyarrow is not installed.
    """
    check_parquet()
    import pyarrow
    from pyarrow import parquet

    kinds = {name: pyarrow.string() if name in texts else pyarrow.float64() for name in table.columns}
    schema = pyarrow.schema(list(kinds.items()))

    def group(rows: list[Row]) -> Any:
        columns = {name: [row[name] if name in texts else _number(row[name]) for row in rows] for name in table.columns}
        return pyarrow.table(columns, schema=schema)

    with saving(path) as temporary, parquet.ParquetWriter(temporary, schema) as writer:
        rows: list[Row] = []
        for row in table.rows():
            rows.append(row)
            if len(rows) == GROUP:
                writer.write_table(group(rows))
                rows = []
        if rows:
            writer.write_table(group(rows))


def check_parquet() -> None:
    """Raise a :class:`UserError` where Parquet cannot be written."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise UserError(
            "Parquet files need pyarrow, which is not installed.",
            "Run: pip install 'naslora-napari[parquet]', or write a .csv file.",
        ) from error


def _ends_well(path: Path) -> bool:
    """Return whether the last line is whole."""
    with path.open("rb") as file:
        file.seek(-1, io.SEEK_END)
        return file.read(1) == b"\n"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _short(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, float | np.floating):
        return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else ""
    return value
