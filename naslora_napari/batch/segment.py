"""Segment all images of a folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.errors import UserError
from naslora_trainer.files import saving
from naslora_trainer.images import list_images, read_image, read_labels, to_rgb8

from .measure import measure as measure_objects
from .measure import read_csv, write_csv

if TYPE_CHECKING:
    from naslora_trainer.adapter import Adapter

    from .segmenter import Segmenter

TABLE = "measurements.csv"


@dataclass
class BatchReport:
    """What came of a folder.

    Attributes
    ----------
    images, objects : int
        How many were segmented, and found.
    failed : list of (str, str)
        Images that could not be, and why.
    cancelled : bool
        Whether it was stopped before the end.
    out : Path
        The folder with the results.
    """

    out: Path
    images: int = 0
    objects: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    cancelled: bool = False


def segment_folder(
    folder: Path | str,
    out: Path | str,
    adapter: Adapter | Path | None = None,
    base: str = DEFAULT_MODEL,
    device: str = "auto",
    on_event: Callable[[dict[str, Any]], None] = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
    resume: bool = False,
    measure: Path | None = None,
    recursive: bool = False,
) -> BatchReport:
    """Write a label image ``OUT/<name>.tif`` (int32) for each image of ``folder``, and one table of all objects.

    A broken image is reported and does not stop the rest. Every file is written atomically.

    Parameters
    ----------
    folder, out : Path
        Images, and where the results go.
    adapter : Adapter or Path, optional
        Of the fine-tuned model.
    base, device : str
        Model and device.
    on_event : callable
        Gets ``started``, ``progress``, ``warning`` and ``result`` events.
    should_stop : callable
        Asked before every image.
    resume : bool
        Keep label images that are there already.
    measure : Path, optional
        The table; ``OUT/measurements.csv`` by default.
    recursive : bool
        Look in sub-folders too; the results mirror them.

    Raises
    ------
    UserError
        The folder holds no images, two images would get the same result file, the model cannot be loaded, or nothing
        can be written.
    """
    from .segmenter import Segmenter  # here, since it takes torch

    folder, out = Path(folder), Path(out)
    images = list_images(folder, recursive)
    targets = _targets(folder, out, images)
    table = measure or out / TABLE
    report = BatchReport(out)
    rows = read_csv(table) if resume else []
    on_event({"event": "started", "images": len(images), "out": str(out)})
    started = time.monotonic()
    model = Segmenter(base, adapter, device)
    for done, (path, target) in enumerate(zip(images, targets, strict=True), start=1):
        if should_stop():
            report.cancelled = True
            break
        name = path.relative_to(folder).as_posix()
        try:
            count, rows = _segment_one(model, path, target, name, rows, resume)
            report.images += 1
            report.objects += count
        except UserError as error:
            count = 0
            report.failed.append((name, str(error)))
            on_event({"event": "warning", "message": str(error)})
        write_csv(table, rows)
        left = (time.monotonic() - started) / done * (len(images) - done)
        on_event(
            {"event": "progress", "step": done, "steps": len(images), "name": name, "objects": count, "eta_s": left}
        )
    on_event(_result(report))
    return report


def _result(report: BatchReport) -> dict[str, Any]:
    return {
        "event": "result",
        "status": "cancelled" if report.cancelled else "done",
        "images": report.images,
        "objects": report.objects,
        "failed": [list(pair) for pair in report.failed],
        "out": str(report.out),
    }


def _targets(folder: Path, out: Path, images: list[Path]) -> list[Path]:
    """Return where each label image goes; two images may not share one."""
    targets = [out / path.relative_to(folder).with_suffix(".tif") for path in images]
    seen: dict[str, Path] = {}
    for path, target in zip(images, targets, strict=True):
        other = seen.setdefault(str(target).casefold(), path)
        if other is not path:
            raise UserError(
                f"{other.name} and {path.name} would both be written to {target.name}.", "Rename one of them."
            )
        if target == path:
            raise UserError(f"The result of {path.name} would overwrite it.", "Choose another folder for the results.")
    return targets


def _segment_one(
    model: Segmenter, path: Path, target: Path, name: str, rows: list[dict[str, Any]], resume: bool
) -> tuple[int, list[dict[str, Any]]]:
    """Segment one image; return its number of objects, and the rows with its own in place of earlier ones."""
    known = [row for row in rows if row["image"] == name]
    if resume and target.is_file():
        count = len(np.unique(read_labels(target))) - 1
        if count == len(known):
            return count, rows
    image = read_image(path)
    found = model.segment(to_rgb8(image))
    target.parent.mkdir(parents=True, exist_ok=True)
    with saving(target) as temporary:
        tifffile.imwrite(temporary, found.labels, compression="zlib")
    others = [row for row in rows if row["image"] != name]
    return int(found.labels.max()), others + measure_objects(name, image, found.labels, found.confidence)
