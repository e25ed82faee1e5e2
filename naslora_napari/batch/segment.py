"""Segment all images of a folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.errors import UserError
from naslora_trainer.files import not_saved
from naslora_trainer.images import list_images

from . import linked
from .ledger import LEDGER, Entry, Ledger
from .measure import COLUMNS, OF_CLASS, SUMMARY, TEXTS
from .pace import Gate, Pace
from .results import Wanted
from .table import PARQUET, Table, check_parquet, write_parquet
from .work import Model, Outcome, Task, in_threads
from .writing import Written, write_classes, write_coco

if TYPE_CHECKING:
    from naslora_trainer.adapter import Adapter

TABLE, SUMMARIES, LINKED = "measurements.csv", "summary.csv", "linked.csv"
Emit = Callable[[dict[str, Any]], None]


@dataclass
class BatchReport:
    """What came of a folder.

    Attributes
    ----------
    images, objects : int
        How many were segmented, and found, earlier runs that were resumed included.
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
    on_event: Emit = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
    resume: bool = False,
    measure: Path | None = None,
    recursive: bool = False,
    is_paused: Callable[[], bool] = lambda: False,
    format: str = "tiff",
    extras: Sequence[str] = (),
    workers: int = 0,
    dask: str = "",
) -> BatchReport:
    """Write a label image ``OUT/<name>`` for each image of ``folder``, a table of all objects and a summary of images.

    A stack is segmented plane by plane, and its objects are linked (see :mod:`naslora_napari.batch.stacks`).
    A broken image is reported and does not stop the rest. Every file is written atomically; the table grows image by
    image, and ``OUT/segmented.jsonl`` says which ones are in it.

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
        Asked before every image; may be asked from any thread.
    resume : bool
        Keep what was segmented already with this model and these settings, of images that have not changed since.
    measure : Path, optional
        The table; ``OUT/measurements.csv`` by default. One that ends in ``.parquet`` is made of that one at the end.
    recursive : bool
        Look in sub-folders too; the results mirror them.
    is_paused : callable
        No image is begun while it is true; may be asked from any thread.
    format : str
        Of label images: ``tiff`` (uint16, int32 where there are more objects), ``png`` (uint16) or ``zarr`` (OME-Zarr,
        int32).
    extras : sequence of str
        What else is written: ``overlays``, ``geojson`` (a file for each image), ``coco`` (one for all), ``semantic``
        (an image of the number of the class of each pixel; 1 is an object, where the model tells no classes).
    workers : int
        So many processes of this computer share the images; 0: this one does them all.
    dask : str
        Address of a Dask cluster whose workers share the images. Where they do not see both folders under the same
        names, images are sent to them and results come back.

    Raises
    ------
    UserError
        The folder holds no images, two images would get the same result file, the model cannot be loaded, nothing
        can be written, or the cluster cannot be used.
    """
    from naslora_trainer.adapter import Adapter

    folder, out = Path(folder), Path(out)
    model = Model(base, Adapter.load(adapter) if isinstance(adapter, Path) else adapter, device)
    wanted = Wanted(out, format, tuple(sorted(set(extras))), model.classes)
    tasks = _tasks(folder, wanted, recursive)
    books = _Books(wanted, measure or out / TABLE, _settings(model, wanted), folder)
    gate = Gate(should_stop, is_paused)
    report = BatchReport(out)
    on_event({"event": "started", "images": len(tasks), "out": str(out)})
    if model.adapter is not None and model.adapter.guesses_background:
        from naslora_trainer.data import TELL_BACKGROUND

        on_event({"event": "warning", "message": TELL_BACKGROUND})
    done = books.start(tasks, resume, on_event)
    for task in tasks:
        report.images += task.name in done
        report.objects += done.get(task.name, 0)
    todo = [task for task in tasks if task.name not in done]
    pace = Pace(len(tasks), len(tasks) - len(todo), gate)
    if todo and not should_stop():
        with _shared(gate.let_through(todo), model, wanted, folder, workers, dask, on_event) as outcomes:
            for outcome in outcomes:
                books.add(outcome)
                _count(report, outcome, on_event)
                on_event(pace.event(outcome.name, outcome.objects))
                if should_stop():
                    break
    report.cancelled = pace.done < pace.images
    books.close(tasks)
    on_event(_result(report))
    return report


@contextmanager
def _shared(
    tasks: Iterator[Task], model: Model, wanted: Wanted, folder: Path, workers: int, dask: str, on_event: Emit
) -> Iterator[Iterator[Outcome]]:
    """Yield the outcomes of images, made here or by workers."""
    if not workers and not dask:
        with closing(in_threads(tasks, model.load(), wanted)) as outcomes:
            yield outcomes
        return
    from .cluster import all_see, connected, on_cluster

    folder, wanted = folder.resolve(), replace(wanted, out=wanted.out.resolve())
    absolute = (replace(task, path=task.path.absolute()) for task in tasks)
    with connected(workers, dask) as client:
        sending = not all_see(client, (folder,), wanted.out)
        if sending:
            message = f"Not all workers see {folder} and {wanted.out}: images and results are sent, which takes longer."
            on_event({"event": "warning", "message": message})
        with closing(on_cluster(absolute, model, wanted, client, sending)) as outcomes:
            yield outcomes


def _count(report: BatchReport, outcome: Outcome, on_event: Emit) -> None:
    if outcome.error:
        report.failed.append((outcome.name, outcome.error))
        on_event({"event": "warning", "message": outcome.error})
    else:
        report.images += 1
        report.objects += outcome.objects


def _result(report: BatchReport) -> dict[str, Any]:
    return {
        "event": "result",
        "status": "cancelled" if report.cancelled else "done",
        "images": report.images,
        "objects": report.objects,
        "failed": [list(pair) for pair in report.failed],
        "out": str(report.out),
    }


def _settings(model: Model, wanted: Wanted) -> dict[str, Any]:
    """Return what decides about results: another model or other files have to be made anew."""
    adapter = "" if model.adapter is None else model.adapter.id
    settings = {"base": model.base, "adapter": adapter, "format": wanted.format, "extras": list(wanted.extras)}
    return settings | ({"classes": list(wanted.classes)} if wanted.classes else {})


def _tasks(folder: Path, wanted: Wanted, recursive: bool) -> list[Task]:
    """Return the images of a folder, without results that lie in it; no two may share a result, nor be overwritten."""
    images, out = list_images(folder, recursive), wanted.out.resolve()
    inside = out != folder.resolve()
    tasks = [
        Task(path, path.relative_to(folder).as_posix())
        for path in images
        if not (inside and path.resolve().is_relative_to(out))
    ]
    if not tasks:
        raise UserError(f"The folder {folder} holds no images but the results in {wanted.out}.")
    seen: dict[str, Task] = {}
    for task in tasks:
        target = wanted.labels_of(task.name)
        other = seen.setdefault(str(target).casefold(), task)
        if other is not task:
            raise UserError(
                f"{other.name} and {task.name} would both be written to {target.name}.", "Rename one of them."
            )
        if task.path in wanted.files_of(task.name):
            raise UserError(f"The result of {task.name} would overwrite it.", "Choose another folder for the results.")
    return tasks


class _Books:
    """The tables and the ledger of a run. An image is in the ledger last, so that what is there holds."""

    def __init__(self, wanted: Wanted, measure: Path, settings: dict[str, Any], folder: Path) -> None:
        self._wanted = wanted
        self._parquet = measure if measure.suffix.lower() == PARQUET else None
        if self._parquet is not None:
            check_parquet()
        self._table = Table(wanted.out / TABLE if self._parquet else measure, COLUMNS)
        self._ledger = Ledger(wanted.out / LEDGER, settings, str(folder.resolve()))

    def start(self, tasks: list[Task], resume: bool, on_event: Emit) -> dict[str, int]:
        """Keep what holds where the run is resumed, drop the rest; return how many objects each kept image has."""
        for path in (self._table.path, self._wanted.out / LEDGER):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise not_saved(path, error) from error
        kept: dict[str, int] = {}
        if resume and self._ledger.path.exists() and not self._ledger.same_settings:
            message = "What is there was segmented with another model or other settings; it is done again."
            on_event({"event": "warning", "message": message})
        elif resume:
            known, rows = {task.name: task for task in tasks}, self._table.count("image")
            for entry in self._ledger.entries():
                if self._holds(entry, known, rows[entry["name"]]):
                    kept[entry["name"]] = entry["objects"]
        self._ledger.start(lambda entry: entry["name"] in kept and "error" not in entry)
        self._table.start(lambda row: row["image"] in kept)
        return kept

    def _holds(self, entry: Entry, known: dict[str, Task], rows: int) -> bool:
        task = known.get(entry["name"])
        if task is None or "error" in entry or entry.get("rows", entry.get("objects")) != rows:
            return False
        if ("planes" in entry) != ("axes" in entry):  # of a version that wrote less of stacks
            return False
        try:
            sizes = self._wanted.sizes_of(task.name, "planes" in entry)
            return entry.get("stamp") == task.stamp() and entry.get("sizes") == sizes
        except OSError:
            return False

    def add(self, outcome: Outcome) -> None:
        """Note an image."""
        self._table.append(outcome.rows)
        self._ledger.add(outcome.entry)

    def close(self, tasks: list[Task]) -> None:
        """Write what is made of all images."""
        counts = [OF_CLASS + name for name in self._wanted.classes]
        summary = Table(self._wanted.out / SUMMARIES, (*SUMMARY, *counts))
        summary.replace(dict.fromkeys(counts, 0) | _summary(entry) for entry in self._ledger.entries())
        if self._wanted.classes:
            write_classes(self._wanted)
        if self._parquet is not None:
            write_parquet(self._table, self._parquet, TEXTS)
        self._link()
        if "coco" in self._wanted.extras:
            write_coco(self._wanted, self._written(tasks))

    def _link(self) -> None:
        """Write the table of linked objects, where there are stacks; beside the other table in Parquet, too."""
        table = Table(self._wanted.out / LINKED, linked.COLUMNS)
        stacks = {entry["name"]: entry for entry in self._ledger.entries() if "planes" in entry}
        if not stacks:
            return table.path.unlink(missing_ok=True)  # of an earlier run
        table.replace(linked.linked_rows(self._table.rows(), stacks))
        if self._parquet is not None:
            write_parquet(table, self._parquet.with_stem(f"{self._parquet.stem}_linked"), linked.TEXTS)

    def _written(self, tasks: list[Task]) -> Iterator[Written]:
        """Yield the images whose results are there."""
        paths, classes = {task.name: task.path for task in tasks}, self._classes_of_objects()
        for entry in self._ledger.entries():
            name = entry["name"]
            if "error" not in entry and name in paths:
                axes, planes = entry.get("axes", ""), tuple(entry.get("planes", ()))
                yield Written(name, paths[name], classes.get(name, {}), axes, planes)

    def _classes_of_objects(self) -> dict[str, dict[int, str]]:
        """Return the class of each object by image and label, where there are classes."""
        found: dict[str, dict[int, str]] = {}
        if self._wanted.classes:
            for row in self._table.rows():
                found.setdefault(row["image"], {})[int(row["label"])] = sys.intern(row["class"])
        return found


def _summary(entry: Entry) -> dict[str, Any]:
    if "error" in entry:
        return {"image": entry["name"], "status": "failed", "reason": entry["error"]}
    found = entry.get("summary")
    return found if isinstance(found, dict) else {"image": entry["name"], "status": "done"}
