"""One HDF5 file per image: its labels and how each object came about. docs/project-format.md describes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np

from naslora_trainer import hdf5
from naslora_trainer.data import ids_in
from naslora_trainer.errors import UserError
from naslora_trainer.files import write_bytes

from .records import Annotation, ObjectInfo, Source, prompts_from_json, prompts_to_json

SCHEMA = "naslora-annotation"
#: 2 has strokes among the prompts, 3 an outline; older ones are still read.
VERSION = 3
KIND = "annotation file"

NUMBERS = ("id", "class")
TEXTS = ("source", "model", "time", "annotator")
CHUNK = 256
#: The table of objects, and their prompts, may take as much memory, in bytes.
LARGEST_TABLE = 2**30


def write_annotation(path: Path, image: str, annotation: Annotation) -> None:
    """Replace the annotation file of an image, at once.

    Raises
    ------
    UserError
        The disk is full or read-only; the old file is intact.
    """
    write_bytes(path, to_bytes(image, annotation))


def to_bytes(image: str, annotation: Annotation) -> bytes:
    """Return the content of an annotation file, built in memory so that only plain writing can fail."""
    labels = annotation.labels
    objects = sorted(annotation.objects.items())
    lines = "".join(prompts_to_json(info.prompts) + "\n" for _, info in objects).encode("ascii")
    with hdf5.create("annotation.h5", SCHEMA, VERSION, driver="core", backing_store=False) as file:
        hdf5.set_text(file, "image", image)
        file.attrs["rows"], file.attrs["columns"] = labels.shape
        file.attrs["complete"] = np.bool_(annotation.complete)
        _write(file, "labels", labels.astype("<i4", copy=False), CHUNK)
        _write(file, "objects", _to_table(objects), 4096)
        _write(file, "prompts", np.frombuffer(lines, np.uint8), 65536)
        file.flush()
        return bytes(file.id.get_file_image())


def _write(file: h5py.File, name: str, values: np.ndarray, chunk: int) -> None:
    """Write a dataset in compressed chunks with checksums."""
    chunks = tuple(min(chunk, max(1, size)) for size in values.shape)
    growing = (None,) * values.ndim if not values.size else None  # only a growing dataset of chunks may be empty
    file.create_dataset(
        name,
        data=values,
        chunks=chunks,
        maxshape=growing,
        compression="gzip",
        compression_opts=1,
        shuffle=True,
        fletcher32=True,
    )


def read_annotation(path: Path, image: str, shape: tuple[int, int]) -> Annotation:
    """Return the annotation of an image of ``shape`` (rows, columns).

    Raises
    ------
    UserError
        The file is damaged, foreign, of a newer version, of another image or of another size.
    """
    with hdf5.reading(path, KIND, SCHEMA, VERSION) as file:
        objects, complete, stored = _read_head(file, path, image)
        if stored != shape:
            raise UserError(
                f"{path} has labels for {stored[0]} x {stored[1]} pixels, its image has {shape[0]} x {shape[1]}.",
                "Put the original image back.",
            )
        labels = hdf5.dataset(file, "labels", np.dtype("<i4"), shape)[()].astype(np.int32, copy=False)
        if labels.min() < 0 or ids_in(labels) != sorted(objects):
            raise ValueError("the table of objects does not fit the labels")
        return Annotation(labels, objects, complete)


def read_counts(path: Path, image: str) -> tuple[int, bool]:
    """Return how many objects an annotation file has and whether it is complete, without reading its labels.

    Raises
    ------
    UserError
        The file is damaged, foreign, of a newer version or of another image.
    """
    with hdf5.reading(path, KIND, SCHEMA, VERSION) as file:
        objects, complete, _ = _read_head(file, path, image)
        return len(objects), complete


def _read_head(file: h5py.File, path: Path, image: str) -> tuple[dict[int, ObjectInfo], bool, tuple[int, int]]:
    """Return the objects, the completeness and the shape of an open annotation file."""
    if hdf5.text(file, "image") != image:
        raise UserError(f"{path} belongs to another image.", "Restore the file from a copy.")
    shape = hdf5.whole(file, "rows"), hdf5.whole(file, "columns")
    table = hdf5.dataset(file, "objects", None, None)
    prompts = hdf5.dataset(file, "prompts", np.dtype(np.uint8), None)
    if table.ndim != 1 or prompts.ndim != 1 or not _is_table(table.dtype):
        raise ValueError("not a table of objects")
    if table.shape[0] > shape[0] * shape[1] or max(table.nbytes, prompts.nbytes) > LARGEST_TABLE:
        raise ValueError("too many objects")
    lines = prompts[()].tobytes().decode("ascii").splitlines()
    return _from_table(table[()], lines), hdf5.flag(file, "complete"), shape


def _is_table(dtype: np.dtype) -> bool:
    """Return whether a type is that of the table of objects."""
    if dtype.names != (*NUMBERS, *TEXTS):
        return False
    return all(dtype[name] == np.dtype("<i4") for name in NUMBERS) and all(dtype[name].kind == "S" for name in TEXTS)


def _to_table(objects: list[tuple[int, ObjectInfo]]) -> np.ndarray:
    """Return the table of objects; its texts are as wide as the longest one."""
    rows: list[tuple[Any, ...]] = [
        (key, info.class_id, *(_encoded(getattr(info, name)) for name in TEXTS)) for key, info in objects
    ]
    widths = [max((len(row[column]) for row in rows), default=1) or 1 for column in range(2, 6)]
    texts = [(name, h5py.string_dtype("utf-8", width)) for name, width in zip(TEXTS, widths, strict=True)]
    return np.array(rows, dtype=[*((name, "<i4") for name in NUMBERS), *texts])


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
        source, model, time, annotator = (bytes(row[name]).decode("utf-8") for name in TEXTS)
        kind = cast(Source, source)  # which ObjectInfo checks
        objects[key] = ObjectInfo(int(row["class"]), kind, model, time, annotator, prompts_from_json(line))
    return objects
