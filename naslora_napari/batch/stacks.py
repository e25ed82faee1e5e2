"""A stack or series is segmented plane by plane; objects of neighbouring planes are linked. One plane is in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import tifffile

from naslora_trainer.animated import is_animated
from naslora_trainer.decode import MAX_PIXELS, is_tiff, is_zarr
from naslora_trainer.errors import UserError
from naslora_trainer.files import not_saved
from naslora_trainer.lazy import Opened, open_lazily
from naslora_trainer.pictures import plane_of
from naslora_trainer.pixel_size import pixel_size, voxel_depth

from .ahead import ahead
from .linking import Linker
from .measure import measure, summarise
from .ngff import Layout
from .results import Wanted
from .writing import Pages, write_files

if TYPE_CHECKING:
    from .masks import AutoMasks

Row = dict[str, Any]
SegmentEach = Callable[[Iterable[np.ndarray]], "Iterable[AutoMasks]"]


@dataclass(frozen=True)
class StackResult:
    """What came of a stack: a row for each object in each plane, its summary, how many objects there are, its depth.

    ``depth_um`` is from one plane along ``z`` to the next, in micrometres; None where the file does not tell.
    """

    rows: list[Row]
    summary: Row
    objects: int
    depth_um: float | None


@dataclass(frozen=True)
class _Plane:
    """One plane: where it is, its values (H, W) or (H, W, C), and its objects."""

    index: tuple[int, ...]
    values: np.ndarray
    found: AutoMasks


def open_stack(path: Path) -> Opened | None:
    """Return a stack of planes without reading them; None for an image that is one plane.

    Raises
    ------
    UserError
        It is an OME-Zarr folder that cannot be read, or a plane is too large.
    """
    if not is_zarr(path) and not (path.is_file() and _has_planes(path)):
        return None
    opened = open_lazily(path, MAX_PIXELS)
    return opened if opened is not None and opened.axes else None


def _has_planes(path: Path) -> bool:
    return _has_many_axes(path) if is_tiff(path) else is_animated(path)


def segment_stack(name: str, path: Path, stack: Opened, segment_each: SegmentEach, wanted: Wanted) -> StackResult:
    """Segment all planes of a stack, link them along its last axis of planes, and write its files.

    Parameters
    ----------
    name, path : str, Path
        The image, below its folder and on the disk.
    stack : Opened
        It.
    segment_each : callable
        Yields the objects of each of several planes (H, W, 3) uint8.
    wanted : Wanted
        What is written.

    Raises
    ------
    UserError
        A plane cannot be read, the results cannot be written, or their format holds no stacks.
    """
    if not wanted.holds_stacks:
        raise UserError(f"{name} is a stack, which a PNG cannot hold.", "Choose TIFF.")
    side, depth, linker, rows = pixel_size(path), voxel_depth(path), Linker(), []
    wanted.labels_of(name).parent.mkdir(parents=True, exist_ok=True)
    with _Spool(wanted.labels_of(name).parent, stack.size) as labels:
        planes = ahead(_segmented(path, stack, segment_each))
        try:
            for plane in planes:
                if plane.index[-1] == 0:
                    linker.leap()
                number = linker.numbers(plane.found.labels)
                labels.append(number[plane.found.labels])
                rows += _rows(name, plane, number, side, wanted)
        finally:
            planes.close()
        classes = _classes(rows, linker.count, wanted)
        layout = Layout((*stack.planes, *stack.size), stack.axes, side, depth)
        write_files(wanted, name, Pages(layout, labels.planes, lambda: _seen(path, stack), linker.count, classes))
    summary = summarise(name, rows, stack.size, side)
    planes_in_all = int(np.prod(stack.planes))
    whole = {"objects": linker.count, "planes": planes_in_all, "covered": summary["covered"] / planes_in_all}
    return StackResult(rows, summary | whole, linker.count, depth)


def _has_many_axes(path: Path) -> bool:
    try:
        with tifffile.TiffFile(path) as tiff:
            return len(tiff.series[0].shape) > 2
    except Exception:  # who reads it says what is wrong
        return False


def _segmented(path: Path, stack: Opened, segment_each: SegmentEach) -> Iterator[_Plane]:
    for index, found in zip(np.ndindex(*stack.planes), segment_each(_seen(path, stack)), strict=True):
        yield _Plane(index, np.asarray(stack.levels[0][index].compute(scheduler="synchronous")), found)


def _seen(path: Path, stack: Opened) -> Iterator[np.ndarray]:
    """Yield the planes as the models see them, (H, W, 3) uint8 each."""
    return (plane_of(path, stack, index).whole() for index in np.ndindex(*stack.planes))


def _rows(name: str, plane: _Plane, number: np.ndarray, side: tuple[float, float] | None, wanted: Wanted) -> list[Row]:
    found = plane.found
    rows = measure(name, plane.values, found.labels, found.confidence, side, wanted.names_of(found.classes))
    where = ",".join(map(str, plane.index))
    return [row | {"plane": where, "label": int(number[row["label"]])} for row in rows]


def _classes(rows: list[Row], count: int, wanted: Wanted) -> np.ndarray | None:
    """Give each object the class that it has in most of its planes, also in its rows, and return them, (count,) int."""
    if not wanted.classes:
        return None
    names = dict.fromkeys(wanted.classes)
    votes = np.zeros((count, len(names)), int)
    place = {name: index for index, name in enumerate(names)}
    for row in rows:
        if row["class"] in place:
            votes[row["label"] - 1, place[row["class"]]] += 1
    chosen = votes.argmax(axis=1)
    for row in rows:
        if row["class"]:
            row["class"] = wanted.classes[chosen[row["label"] - 1]]
    return chosen + 1


class _Spool:
    """Planes of labels on the disk, in a file without a name beside the results.

    Parameters
    ----------
    folder : Path
        Where there is space for them.
    shape : (int, int)
        Of a plane.
    """

    def __init__(self, folder: Path, shape: tuple[int, int]) -> None:
        self._folder, self._shape = folder, shape
        self._file: IO[bytes] | None = None

    def __enter__(self) -> _Spool:
        try:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
        except OSError as error:
            raise not_saved(self._folder, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        assert self._file is not None
        self._file.close()

    def append(self, labels: np.ndarray) -> None:
        """Add a plane."""
        assert self._file is not None
        try:
            self._file.write(labels.astype(np.int32).tobytes())
        except OSError as error:
            raise not_saved(self._folder, error) from error

    def planes(self) -> Iterator[np.ndarray]:
        """Yield the planes, (H, W) int32 each."""
        assert self._file is not None
        self._file.seek(0)
        size = 4 * self._shape[0] * self._shape[1]
        while content := self._file.read(size):
            yield np.frombuffer(content, np.int32).reshape(self._shape)
