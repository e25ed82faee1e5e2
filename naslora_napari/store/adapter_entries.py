"""One adapter of a library: what its file says of it, checked, and what the person says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from naslora_trainer.adapter_meta import AdapterHeader, read_header
from naslora_trainer.errors import UserError

from .adapter_index import AdapterIndex, clean

LONGEST_REASON = 400


@dataclass(frozen=True)
class AdapterEntry:
    """An adapter of a project.

    Attributes
    ----------
    key : str
        The stem of its file, by which the library knows it.
    path : Path
        The file.
    name, note : str
        What the person calls it, or what it is; what they noted.
    created : datetime
        When it was trained, as its file says, in UTC.
    base, fingerprint : str
        Id and fingerprint of the base model that it belongs to.
    method, rank : str, int
        How it was trained.
    images, objects : int or None
        How much it learned from, held-out objects included; None: the file does not say.
    validation : dict
        ``(before, after)`` of the held-out Dice (0 to 1), for ``click`` and ``box``.
    better : bool or None
        The verdict of the training; None: there is none.
    reason : str
        That verdict in a sentence.
    parent : str
        Key of the adapter that its training went on from, or its id where it is not in this library; empty: the base.
    id : str
        12 hex digits that identify what it does; empty in files of the first versions.
    sha256 : str
        Of its content, as the file says; :meth:`naslora_trainer.Adapter.load` compares it.
    size : int
        Of the file, in bytes.
    imported, in_use : bool
        It came from elsewhere; the person works with it.
    problem : str
        Why it cannot be used; empty where nothing is known against it.
    """

    key: str
    path: Path
    name: str
    note: str
    created: datetime
    base: str = ""
    fingerprint: str = ""
    method: str = ""
    rank: int = 0
    images: int | None = None
    objects: int | None = None
    validation: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    better: bool | None = None
    reason: str = ""
    parent: str = ""
    id: str = ""
    sha256: str = ""
    size: int = 0
    imported: bool = False
    in_use: bool = False
    problem: str = ""

    @property
    def state(self) -> str:
        """``in use``, ``damaged``, ``imported``, ``better``, ``kept aside``, or empty where nothing is known."""
        if self.in_use:
            return "in use"
        if self.problem:
            return "damaged"
        if self.imported:
            return "imported"
        return {True: "better", False: "kept aside", None: ""}[self.better]

    @property
    def data(self) -> str:
        """What it learned from, in words; empty where that is not known."""
        if self.objects is None:
            return ""
        return f"{self.objects} objects" + ("" if self.images is None else f" on {self.images} images")

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        validation = {kind: {"before": pair[0], "after": pair[1]} for kind, pair in self.validation.items()}
        kept = {name: value for name, value in vars(self).items() if name not in ("path", "created", "validation")}
        return {
            "file": str(self.path),
            "created": self.created.isoformat(),
            "state": self.state,
            **kept,
            "validation": validation,
        }


def entry_of(path: Path, index: AdapterIndex) -> AdapterEntry:
    """Return the entry of an adapter file of which only the header is read; one that cannot be read has a problem."""
    key = path.stem
    said, in_use = index[key], index.in_use == key
    try:
        header = read_header(path)
    except UserError as error:
        return AdapterEntry(
            key, path, said.name or clean(key), said.note, _modified(path),
            imported=said.imported, in_use=in_use, problem=str(error),
        )  # fmt: skip
    report = header.meta.report
    images, objects = _count(report.get("images")), _total(report.get("objects"))
    method = clean(header.meta.method)
    described = method if objects is None else f"{method}, {objects} objects"
    return AdapterEntry(
        key=key,
        path=path,
        name=said.name or (clean(key) if said.imported else described),
        note=said.note,
        created=_created(header, path),
        base=clean(header.meta.base),
        fingerprint=header.meta.fingerprint,
        method=method,
        rank=header.meta.rank,
        images=images,
        objects=objects,
        validation=_validation(report.get("validation")),
        better=report.get("better") if isinstance(report.get("better"), bool) else None,
        reason=clean(report.get("reason"), LONGEST_REASON),
        parent=clean(report.get("start"), 64),
        id=clean(header.id, 64),
        sha256=clean(header.sha256, 64),
        size=header.size,
        imported=said.imported,
        in_use=in_use,
    )


def compared(entries: Sequence[AdapterEntry]) -> list[tuple[str, list[str]]]:
    """Return what a person compares adapters by: a title, and the value of each; what none of them has is left out."""

    def dice(kind: str) -> list[str]:
        pairs = (entry.validation.get(kind) for entry in entries)
        return ["" if pair is None else f"{pair[0]:.3f} → {pair[1]:.3f}" for pair in pairs]

    rows = [
        ("Name", [entry.name for entry in entries]),
        ("Trained", [f"{entry.created:%Y-%m-%d %H:%M} UTC" for entry in entries]),
        ("Held-out Dice, click", dice("click")),
        ("Held-out Dice, box", dice("box")),
        ("Learned from", [entry.data for entry in entries]),
        ("Verdict", [entry.problem or entry.reason for entry in entries]),
        ("Method", [entry.method and f"{entry.method}, rank {entry.rank}" for entry in entries]),
        ("Went on from", [entry.parent for entry in entries]),
        ("Base model", [entry.base for entry in entries]),
        ("Id", [entry.id for entry in entries]),
        ("SHA-256", [entry.sha256[:16] for entry in entries]),
        ("Size", [entry.size and f"{entry.size / 2**20:.1f} MB" or "" for entry in entries]),
        ("Note", [entry.note for entry in entries]),
    ]
    return [(title, values) for title, values in rows if any(values)]


def _created(header: AdapterHeader, path: Path) -> datetime:
    """Return when an adapter was trained; where the file does not say, when it was written."""
    try:
        found = datetime.fromisoformat(header.meta.created)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return _modified(path)


def _modified(path: Path) -> datetime:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, ValueError, OverflowError):
        return datetime.fromtimestamp(0, UTC)


def _validation(values: Any) -> dict[str, tuple[float, float]]:
    """Return the Dice of a report, as far as it is Dice."""
    found = {}
    for kind in ("click", "box"):
        pair = values.get(kind) if isinstance(values, dict) else None
        if isinstance(pair, dict) and _is_dice(pair.get("before")) and _is_dice(pair.get("after")):
            found[kind] = (float(pair["before"]), float(pair["after"]))
    return found


def _is_dice(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and 0 <= value <= 1


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**53 else None


def _total(values: Any) -> int | None:
    """Return the sum of the counts of a dict."""
    counts = [_count(value) for value in values.values()] if isinstance(values, dict) else []
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None
