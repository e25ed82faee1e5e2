"""One HDF5 file per image: its labels and how each object came about. docs/project-format.md describes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np

from naslora_trainer import hdf5
from naslora_trainer.data import MOST_ROIS, are_rois, areas_in, to_rois
from naslora_trainer.errors import UserError
from naslora_trainer.files import write_bytes

from .edits import Edit
from .records import Annotation, ImageStatus, Marks, ObjectInfo, Review, Source, prompts_from_json, prompts_to_json

SCHEMA = "naslora-annotation"
#: 2 has strokes among the prompts, 3 an outline, 4 regions of interest, notes, skipped images and reviews, 5 automatic
#: objects; older ones are read.
VERSION = 5
KIND = "annotation file"

NUMBERS = ("id", "class")
TEXTS = ("source", "model", "time", "annotator", "review")
#: Columns that the first three versions do not have.
LATER_TEXTS = ("review",)
CHUNK = 256
#: The table of objects, and their prompts, may take as much memory, in bytes.
LARGEST_TABLE = 2**28


def write_annotation(path: Path, image: str, annotation: Annotation, backup: Path | None = None) -> None:
    """Replace the annotation file of an image, at once; the old one stays as ``backup``.

    Raises
    ------
    UserError
        The disk is full or read-only; the old file is intact.
    """
    with _new_file(image, annotation.labels.shape, annotation.marks) as file:
        plane = hdf5.packed(file, "labels", np.dtype("<i4"), annotation.labels.shape, CHUNK)
        for chunk in plane.iter_chunks() if annotation.objects else ():
            if annotation.labels[chunk].any():  # what is not written is 0
                plane[chunk] = annotation.labels[chunk]
        _write_table(file, *_to_table(annotation.objects))
        content = hdf5.content(file)
    write_bytes(path, content, backup)


def change_annotation(
    path: Path,
    image: str,
    edits: Sequence[Edit],
    remark: Callable[[Marks], Marks] = lambda marks: marks,
    new: tuple[int, ...] = (),
    backup: Path | None = None,
) -> ImageStatus:
    """Change the annotation file of an image, at once, and return what lists tell of it then.

    Only the chunks that are touched are packed anew.

    Parameters
    ----------
    path : Path
        The file.
    image : str
        Name of the image.
    edits : sequence of Edit
        One after the other.
    remark : callable
        Returns what the person says about the image as a whole; it gets what they said before.
    new : (rows, columns) or ()
        Size of an image that has no file yet; empty where there is one.
    backup : Path or None
        Where the old file stays.

    Raises
    ------
    UserError
        The labels are not those that the edits begin with, the file is damaged, or the disk is full or read-only; the
        old file is intact.
    """
    with nullcontext() if new else hdf5.reading(path, KIND, SCHEMA, VERSION) as old:
        table, prompts, was, shape = (*_to_table({}), Marks(), new) if old is None else _read_head(old, path, image)
        marks = _checked(remark(was), shape, image)
        with _new_file(image, shape, marks) as file:
            if old is not None:
                source = hdf5.dataset(old, "labels", np.dtype("<i4"), shape)
                old.copy(source, file, "labels", without_attrs=True)  # chunk by chunk: what is replaced leaves no gap
            else:
                hdf5.packed(file, "labels", np.dtype("<i4"), shape, CHUNK)
            for edit in edits:
                _set_pixels(file["labels"], edit, image)
                table, prompts = _with_records(table, prompts, edit, image)
            _write_table(file, table, prompts)
            content = hdf5.content(file)
    write_bytes(path, content, backup)
    return _status(table, marks)


def _checked(marks: Marks, shape: tuple[int, ...], image: str) -> Marks:
    """Return marks of an image of ``shape`` whose regions of interest lie in it."""
    if not are_rois(marks.rois, shape):
        raise UserError(f"A labelled area is not inside the image '{image}'.", "Draw it anew.")
    return marks


def _new_file(image: str, shape: tuple[int, ...], marks: Marks) -> h5py.File:
    """Return a file in memory, with all that does not depend on the objects."""
    file = hdf5.in_memory(SCHEMA, VERSION)
    hdf5.set_text(file, "image", image)
    file.attrs["rows"], file.attrs["columns"] = shape
    file.attrs["complete"], file.attrs["skipped"] = np.bool_(marks.complete), np.bool_(marks.skipped)
    hdf5.set_text(file, "note", _encoded(marks.note).decode())
    hdf5.set_packed(file, "rois", np.array(marks.rois, "<i4").reshape(-1, 4), 4096)
    return file


def _write_table(file: h5py.File, table: np.ndarray, prompts: list[str]) -> None:
    """Write the table of objects, and the lines of their prompts."""
    lines = "".join(f"{line}\n" for line in prompts).encode("ascii")
    hdf5.set_packed(file, "objects", table, 4096)
    hdf5.set_packed(file, "prompts", np.frombuffer(lines, np.uint8), 65536)


def _set_pixels(labels: h5py.Dataset, edit: Edit, image: str) -> None:
    """Change the chunks that an edit touches."""
    height, width = labels.chunks or labels.shape
    across = -(-labels.shape[1] // width)
    numbers = edit.rows // height * across + edit.cols // width
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    for part in np.split(order, starts[1:]) if len(order) else ():
        row, col = numbers[part[0]] // across * height, numbers[part[0]] % across * width
        chunk = slice(row, row + height), slice(col, col + width)
        block = labels[chunk]
        where = edit.rows[part] - row, edit.cols[part] - col
        if not np.array_equal(block[where], edit.before[part]):
            raise changed_elsewhere(image)
        block[where] = edit.after[part]
        labels[chunk] = block


def _with_records(table: np.ndarray, prompts: list[str], edit: Edit, image: str) -> tuple[np.ndarray, list[str]]:
    """Return the table of objects and the lines of their prompts after an edit."""
    if not edit.objects:
        return table, prompts
    known = set(table["id"].tolist())
    if any((before is None) == (key in known) for key, (before, _) in edit.objects.items()):
        raise changed_elsewhere(image)
    kept = np.flatnonzero(~np.isin(table["id"], list(edit.objects)))
    added, lines = _to_table({key: after for key, (_, after) in edit.objects.items() if after is not None})
    widths = [max(table.dtype[name].itemsize, added.dtype[name].itemsize) for name in TEXTS]
    whole = np.concatenate([part.astype(_table_type(widths)) for part in (table[kept], added)])
    order = np.argsort(whole["id"])
    lines = [*(prompts[i] for i in kept), *lines]
    return whole[order], [lines[i] for i in order]


def changed_elsewhere(image: str) -> UserError:
    """Return the sentence for labels that are not what they were."""
    return UserError(
        f"The labels of image '{image}' were changed elsewhere, so this step does not fit any more.",
        "Open the image again and correct the object by hand.",
    )


def read_annotation(path: Path, image: str, shape: tuple[int, int], content: bytes | None = None) -> Annotation:
    """Return the annotation of an image of ``shape`` (rows, columns); ``content``: of the file as it was.

    Raises
    ------
    UserError
        The file is damaged, foreign, of a newer version, of another image or of another size.
    """
    with hdf5.reading(path, KIND, SCHEMA, VERSION, content) as file:
        table, prompts, marks, stored = _read_head(file, path, image)
        objects = _from_table(table, prompts)
        if stored != shape:
            raise UserError(
                f"{path} has labels for {stored[0]} x {stored[1]} pixels, its image has {shape[0]} x {shape[1]}.",
                "Put the original image back.",
            )
        labels = hdf5.dataset(file, "labels", np.dtype("<i4"), shape)[()].astype(np.int32, copy=False)
        areas = areas_in(labels) if labels.min() >= 0 else {}
        if list(areas) != sorted(objects):
            raise ValueError("the table of objects does not fit the labels")
        return Annotation(labels, objects, marks, areas)


def read_status(path: Path, image: str) -> ImageStatus:
    """Return what lists tell of an image, without reading its labels.

    Raises
    ------
    UserError
        The file is damaged, foreign, of a newer version or of another image.
    """
    with hdf5.reading(path, KIND, SCHEMA, VERSION) as file:
        table, _, marks, _ = _read_head(file, path, image)
        return _status(table, marks)


def _status(table: np.ndarray, marks: Marks) -> ImageStatus:
    """Return what lists tell of an image with a table of objects."""
    waiting = int(np.count_nonzero((table["source"] == b"automatic") & (table["review"] != b"reviewed")))
    doubtful = int(np.count_nonzero(table["review"] == b"doubtful"))
    return ImageStatus(len(table) - waiting, doubtful, marks, waiting)


def _read_head(file: h5py.File, path: Path, image: str) -> tuple[np.ndarray, list[str], Marks, tuple[int, int]]:
    """Return the table of objects, the lines of their prompts, the marks and the shape of an open file.

    The table is that of the newest version, whatever the version of the file.
    """
    if hdf5.text(file, "image") != image:
        raise UserError(f"{path} belongs to another image.", "Restore the file from a copy.")
    shape = hdf5.whole(file, "rows"), hdf5.whole(file, "columns")
    table = hdf5.dataset(file, "objects", None, None)
    prompts = hdf5.dataset(file, "prompts", np.dtype(np.uint8), None)
    older = hdf5.whole(file, "version") < 4
    names = (*NUMBERS, *TEXTS[: -len(LATER_TEXTS)]) if older else (*NUMBERS, *TEXTS)
    if table.ndim != 1 or prompts.ndim != 1 or not _is_table(table.dtype, names):
        raise ValueError("not a table of objects")
    if table.shape[0] > shape[0] * shape[1] or max(table.nbytes, prompts.nbytes) > LARGEST_TABLE:
        raise ValueError("too many objects")
    text = prompts[()].tobytes()
    if text.count(b"\n") != len(table):  # before so many lines are made of it
        raise ValueError("there is not one line of prompts for each object")
    lines = text.decode("ascii").split("\n")[:-1]
    if older:
        return _with_later_columns(table[()]), lines, Marks(hdf5.flag(file, "complete")), shape
    return table[()], lines, _read_marks(file, shape), shape


def _read_marks(file: h5py.File, shape: tuple[int, int]) -> Marks:
    """Return what the person says about an image of ``shape`` as a whole."""
    stored = hdf5.dataset(file, "rois", np.dtype("<i4"), None)
    if stored.ndim != 2 or stored.shape[1] != 4 or len(stored) > MOST_ROIS:
        raise ValueError("not regions of interest")
    rois = to_rois(stored[()])
    if not are_rois(rois, shape):
        raise ValueError("a region is not inside the image")
    return Marks(hdf5.flag(file, "complete"), hdf5.flag(file, "skipped"), hdf5.text(file, "note"), rois)


def _is_table(dtype: np.dtype, names: tuple[str, ...]) -> bool:
    """Return whether a type is that of the table of objects, with columns ``names``."""
    if dtype.names != names:
        return False
    return all(dtype[name] == np.dtype("<i4") if name in NUMBERS else dtype[name].kind == "S" for name in names)


def _with_later_columns(table: np.ndarray) -> np.ndarray:
    """Return a table of objects of the first versions as it is now; the new columns are empty."""
    widths = [1 if name in LATER_TEXTS else table.dtype[name].itemsize for name in TEXTS]
    whole = np.zeros(len(table), _table_type(widths))
    for name in table.dtype.names or ():
        whole[name] = table[name]
    return whole


def _to_table(objects: Mapping[int, ObjectInfo]) -> tuple[np.ndarray, list[str]]:
    """Return the table of objects by id, and the lines of their prompts; texts are as wide as the longest one."""
    ordered = sorted(objects.items())
    rows: list[tuple[Any, ...]] = [
        (key, info.class_id, *(_encoded(getattr(info, name)) for name in TEXTS)) for key, info in ordered
    ]
    widths = [
        max((len(row[column]) for row in rows), default=1) or 1
        for column in range(len(NUMBERS), len(NUMBERS) + len(TEXTS))
    ]
    return np.array(rows, _table_type(widths)), [prompts_to_json(info.prompts) for _, info in ordered]


def _table_type(widths: Sequence[int]) -> np.dtype:
    """Return the type of the table of objects, whose texts take so many bytes."""
    texts = [(name, h5py.string_dtype("utf-8", width)) for name, width in zip(TEXTS, widths, strict=True)]
    return np.dtype([*((name, "<i4") for name in NUMBERS), *texts])


def _encoded(text: str) -> bytes:
    """Return ``text`` as UTF-8 without what HDF5 cannot hold: NUL and lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace")


def _from_table(table: np.ndarray, prompts: list[str]) -> dict[int, ObjectInfo]:
    """Return the objects of a table and the lines of their prompts."""
    objects: dict[int, ObjectInfo] = {}
    for row, line in zip(table, prompts, strict=True):
        key = int(row["id"])
        if key < 1 or key in objects:
            raise ValueError("ids are not unique and positive")
        source, model, time, annotator, review = (bytes(row[name]).decode("utf-8") for name in TEXTS)
        kind, looked = cast(Source, source), cast(Review, review)  # which ObjectInfo checks
        objects[key] = ObjectInfo(int(row["class"]), kind, model, time, annotator, prompts_from_json(line), looked)
    return objects
