"""What is done for one image: read, segment, measure and write. Each in its own thread, or all on a worker."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslora_trainer.errors import NotSavedError, UserError
from naslora_trainer.pixel_size import pixel_size

from .ahead import ahead, grouped
from .ledger import Entry
from .measure import measure, summarise
from .ngff import Layout
from .results import Wanted
from .sources import Parts, Source, open_source
from .stacks import StackResult, open_stack, segment_stack
from .writing import Pages, write_files

if TYPE_CHECKING:
    from naslora_trainer.adapter import Adapter
    from naslora_trainer.lazy import Opened

    from .masks import AutoMasks
    from .segmenter import Segmenter

log = logging.getLogger("naslora_napari")


@dataclass(frozen=True)
class Task:
    """An image to be segmented.

    Attributes
    ----------
    path : Path
        The file, or folder of OME-Zarr.
    name : str
        Its path below the folder, with slashes.
    """

    path: Path
    name: str

    def stamp(self) -> list[int]:
        """Return what changes with the file: its size in bytes and when it was changed, in ns since 1970."""
        found = self.path.stat()
        return [found.st_size, found.st_mtime_ns]


@dataclass
class Outcome:
    """What came of an image: rows of the table and the entry of the ledger, which says why where there is an error."""

    entry: Entry
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the image."""
        return str(self.entry["name"])

    @property
    def is_stack(self) -> bool:
        """Whether the image has several planes."""
        return "planes" in self.entry

    @property
    def objects(self) -> int:
        """How many were found; one that was followed through a stack is one."""
        return int(self.entry.get("objects", 0))

    @property
    def error(self) -> str:
        """Why it could not be segmented; empty where it was."""
        return str(self.entry.get("error", ""))


@dataclass
class Model:
    """Which model segments, and where; it is loaded when it is first needed.

    Attributes
    ----------
    base, device : str
        Base model and device.
    adapter : Adapter, optional
        Of the fine-tuned model.
    """

    base: str
    adapter: Adapter | None
    device: str
    _loaded: Segmenter | None = None

    def load(self) -> Model:
        """Load it now.

        Raises
        ------
        UserError
            It cannot be loaded.
        """
        from .segmenter import Segmenter  # here, since it takes torch

        if self._loaded is None:
            self._loaded = Segmenter(self.base, self.adapter, self.device)
        return self

    def same_as(self, other: Model) -> bool:
        """Whether it is the same model on the same device."""
        mine, theirs = ((m.base, m.device, m.adapter and m.adapter.id) for m in (self, other))
        return mine == theirs

    @property
    def classes(self) -> tuple[str, ...]:
        """What the model tells apart; their numbers begin at 1."""
        return () if self.adapter is None else self.adapter.meta.classes

    @property
    def batch(self) -> int:
        """How many images are encoded at once, once it is loaded."""
        return 1 if self._loaded is None else self._loaded.batch

    def segment_each(self, images: Iterable[Any]) -> Iterator[AutoMasks]:
        """Yield what :meth:`segment` returns, of several images."""
        if self._loaded is None or self.batch == 1:
            return (self.segment(rgb) for rgb in images)
        return self._loaded.segment_each(images)

    def segment(self, rgb: Any) -> AutoMasks:
        """Return the objects of an image (H, W, 3) uint8, as an array or in parts."""
        loaded = self.load()._loaded
        assert loaded is not None
        return loaded.segment(rgb)


@dataclass
class _Item:
    """An image on its way."""

    task: Task
    stamp: list[int] = field(default_factory=list)
    source: Source | None = None
    found: Any = None
    planes: Opened | None = None
    stack: StackResult | None = None
    error: str = ""

    def do(self, step: Callable[[_Item], None]) -> _Item:
        """Do a step; what goes wrong with this image is noted, and the steps after it are left out.

        Raises
        ------
        NotSavedError
            Results cannot be written, so that going on makes no sense.
        """
        if self.error:
            return self
        try:
            step(self)
        except NotSavedError:
            raise
        except UserError as error:
            self.error = str(error)
        except Exception as error:
            log.exception("%s", self.task.path)
            self.error = f"{self.task.name}: {type(error).__name__}: {error}"[:500]
        return self


def in_threads(tasks: Iterable[Task], model: Model, wanted: Wanted) -> Generator[Outcome]:
    """Yield what comes of each image in their order: one is read and one is written while another is segmented."""

    def read() -> Iterator[_Item]:
        return (_Item(task).do(_read) for task in tasks)

    def segmented(items: Generator[_Item]) -> Generator[_Item]:
        try:
            for group in grouped(items, model.batch):
                _segment_together(group, model)
                yield from (item.do(lambda item: _segment(item, model, wanted)) for item in group)
        finally:
            items.close()

    items = ahead(segmented(ahead(read(), model.batch)))
    try:
        for item in items:
            yield _finish(item, wanted)
    finally:
        items.close()


def do(task: Task, model: Model, wanted: Wanted) -> Outcome:
    """Do all of it for one image."""
    return _finish(_Item(task).do(_read).do(lambda item: _segment(item, model, wanted)), wanted)


def _read(item: _Item) -> None:
    item.stamp = item.task.stamp()
    item.planes = open_stack(item.task.path)
    if item.planes is None:
        item.source = open_source(item.task.path)


def _segment_together(group: list[_Item], model: Model) -> None:
    """Segment images at once; where that fails each is segmented alone, which says what is wrong with which.

    A large one is left alone: its tiles fill a batch, and the labels of several would fill the memory.
    """
    sources = [(item, item.source) for item in group if item.source is not None and not item.error]
    plain = [(item, source) for item, source in sources if not isinstance(source.rgb, Parts)]
    if len(plain) < 2:
        return
    try:
        found = list(model.segment_each(source.rgb for _, source in plain))
    except Exception as error:
        log.info("%d images are segmented one by one: %s", len(plain), error)
        return
    for (item, _), objects in zip(plain, found, strict=True):
        item.found = objects


def _segment(item: _Item, model: Model, wanted: Wanted) -> None:
    if item.planes is not None:  # which is written plane by plane as well
        item.stack = segment_stack(item.task.name, item.task.path, item.planes, model.segment_each, wanted)
        return
    if item.found is None:
        assert item.source is not None
        item.found = model.segment(item.source.rgb)


def _finish(item: _Item, wanted: Wanted) -> Outcome:
    """Measure an image and write its files."""
    name = item.task.name
    outcome = Outcome({"name": name})

    def write(item: _Item) -> None:
        if item.stack is not None and item.planes is not None:
            outcome.rows, planes = item.stack.rows, item.planes.planes
            counts = {"objects": item.stack.objects, "rows": len(outcome.rows), "planes": list(planes)}
            counts |= {"axes": item.planes.axes, "depth_um": item.stack.depth_um}
            sizes = wanted.sizes_of(name, stack=True)
            outcome.entry |= {"stamp": item.stamp, "sizes": sizes, "summary": item.stack.summary} | counts
            return
        assert item.source is not None
        rgb, labels, side = item.source.rgb, item.found.labels, pixel_size(item.task.path)
        rows = measure(
            name, item.source.values, labels, item.found.confidence, side, wanted.names_of(item.found.classes)
        )
        layout = Layout(labels.shape, pixel_um=side)
        most = int(labels.max(initial=0))
        write_files(wanted, name, Pages(layout, lambda: iter([labels]), lambda: iter([rgb]), most, item.found.classes))
        sizes = wanted.sizes_of(name)
        summary = summarise(name, rows, labels.shape, side)
        outcome.entry |= {"stamp": item.stamp, "sizes": sizes, "objects": len(rows), "summary": summary}
        outcome.rows = rows

    item.do(write)
    return Outcome({"name": name, "error": item.error}) if item.error else outcome
