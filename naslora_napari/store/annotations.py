"""One HDF5 file per image: its labels and how each object came about. docs/project-format.md describes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import h5py
import numpy as np

from naslora_trainer import hdf5
from naslora_trainer.data import ids_in
from naslora_trainer.errors import UserError
from naslora_trainer.files import write_bytes

from .records import Annotation, ObjectInfo, Source, prompts_from_json, prompts_to_json

SCHEMA = "naslora-annotation"
VERSION = 1
KIND = "annotation file"

NUMBERS = ("id", "class")
TEXTS = ("source", "model", "time", "annotator", "prompts")
TABLE = np.dtype([(name, "<i4") for name in NUMBERS] + [(name, h5py.string_dtype("utf-8")) for name in TEXTS])
CHUNK = 256


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
    with h5py.File("annotation.h5", "w", driver="core", backing_store=False) as file:
        file.attrs["schema"], file.attrs["version"] = SCHEMA, VERSION
        file.attrs["image"] = image
        file.attrs["shape"] = np.array(labels.shape, dtype=np.int64)
        file.attrs["complete"] = np.bool_(annotation.complete)
        chunks = tuple(min(CHUNK, size) for size in labels.shape)
        options = {"chunks": chunks, "compression": "gzip", "compression_opts": 1, "shuffle": True}
        file.create_dataset("labels", data=labels.astype("<i4", copy=False), fletcher32=True, **options)
        file.create_dataset("objects", data=_to_table(annotation.objects), dtype=TABLE)
        file.flush()
        return bytes(file.id.get_file_image())


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
    if hdf5.text(file.attrs["image"]) != image:
        raise UserError(f"{path} belongs to another image.", "Restore the file from a copy.")
    rows, columns = (hdf5.whole(size) for size in np.asarray(file.attrs["shape"]).ravel()[:3])
    table = hdf5.dataset(file, "objects", None, None)
    if table.ndim != 1 or table.shape[0] > rows * columns or not _is_table(table.dtype):
        raise ValueError("not a table of objects")
    return _from_table(table[()]), hdf5.flag(file.attrs["complete"]), (rows, columns)


def _is_table(dtype: np.dtype) -> bool:
    """Return whether a type is that of the table of objects."""
    if dtype.names != (*NUMBERS, *TEXTS):
        return False
    return all(dtype[name] == TABLE[name] for name in NUMBERS) and all(
        h5py.check_string_dtype(dtype[name]) for name in TEXTS
    )


def _to_table(objects: Mapping[int, ObjectInfo]) -> np.ndarray:
    """Return the table of objects, in order of their ids."""
    rows = [
        (
            key,
            info.class_id,
            info.source,
            _storable(info.model),
            _storable(info.time),
            _storable(info.annotator),
            prompts_to_json(info.prompts),
        )
        for key, info in sorted(objects.items())
    ]
    return np.array(rows, dtype=TABLE)


def _storable(text: str) -> str:
    """Return ``text`` without what HDF5 cannot hold: NUL and lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def _from_table(table: np.ndarray) -> dict[int, ObjectInfo]:
    """Return the objects of a table."""
    objects: dict[int, ObjectInfo] = {}
    for row in table:
        key = int(row["id"])
        if key < 1 or key in objects:
            raise ValueError("ids are not unique and positive")
        source, model, time, annotator, prompts = (hdf5.text(row[name]) for name in TEXTS)
        kind = cast(Source, source)  # which ObjectInfo checks
        objects[key] = ObjectInfo(int(row["class"]), kind, model, time, annotator, prompts_from_json(prompts))
    return objects
