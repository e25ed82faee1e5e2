"""The formats that are known: how their files are found, read and written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from naslora_trainer.errors import UserError

from . import cellpose, coco, geojson, imagej, label_images, labelme, microsam, yolo
from .neutral import Found, Labelled

#: So much of a JSON or text file is looked at to know what it is.
_HEAD = 65536


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes
    ----------
    name : str
        What a person calls it on the command line.
    title : str
        What it is.
    find : callable
        Returns the files of this format at a path, a file or a folder; empty where there are none.
    read : callable or None
        Yields what one of these files says about its images; raises UserError.
    write : callable or None
        Writes images into a new, empty folder, or into a file where ``suffix`` is given.
    suffix : str
        Of the one file that is written.
    """

    name: str
    title: str
    find: Callable[[Path], list[Path]]
    read: Callable[[Path], Iterator[Found]] | None = None
    write: Callable[[Iterable[Labelled], Path], None] | None = None
    suffix: str = ""


def _named(*patterns: str) -> Callable[[Path], list[Path]]:
    """Return what finds files by name, in any case, at a path or in a folder."""

    def find(path: Path) -> list[Path]:
        candidates = sorted(path.iterdir()) if path.is_dir() else [path]
        return [p for p in candidates if _fits(p, patterns) and (p.is_file() or p.suffix == ".zarr")]

    return find


def _fits(path: Path, patterns: tuple[str, ...]) -> bool:
    name = path.name.casefold()
    return not name.startswith(".") and any(re.fullmatch(pattern, name) for pattern in patterns)


def _json(*words: bytes) -> Callable[[Path], list[Path]]:
    """Return what finds JSON files that have one of these words near their beginning."""

    def find(path: Path) -> list[Path]:
        return [p for p in _named(r".*\.json")(path) if any(word in _head(p) for word in words)]

    return find


def _head(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""


def _geojson(path: Path) -> list[Path]:
    return _named(rf".*\{geojson.SUFFIX}")(path) or _json(b'"FeatureCollection"', b'"Feature"')(path)


def _micro_sam(path: Path) -> list[Path]:
    found = [path] if path.suffix == ".zarr" else _named(r".*\.zarr")(path)
    return [p for p in found if (p / microsam.LAYER).is_dir()]


def _yolo(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if _is_yolo(path) else []
    folder = path / "labels"
    texts = sorted(folder.rglob("*.txt")) if folder.is_dir() else sorted(path.glob("*.txt"))
    return texts if any(_is_yolo(text) for text in texts) else []


def _is_yolo(path: Path) -> bool:
    """Return whether the first line of a text is the number of a class, and at least two points."""
    line = _head(path).split(b"\n", 1)[0]
    return path.suffix == ".txt" and bool(re.match(rb"\s*\d+(\s+[-+.\deE]+){4,}", line))


def _pairs(path: Path) -> list[Path]:
    if path.is_dir() and (path / label_images.IMAGES).is_dir() and (path / label_images.MASKS).is_dir():
        return label_images.label_images_in(path / label_images.MASKS)
    return []


def _one_by_one(path: Path) -> list[Path]:
    """Return the folders that have a folder of images and one of masks: those in a folder, or itself."""
    folders = [path, *(sorted(path.iterdir()) if path.is_dir() else [])]
    return [f for f in folders if (f / label_images.IMAGES).is_dir() and (f / label_images.MASKS).is_dir()]


def _below_one_by_one(path: Path) -> list[Path]:
    """Return the same, but a folder that is a pair of folders itself is one of pairs."""
    return [folder for folder in _one_by_one(path) if folder != path]


def _label_images(path: Path) -> list[Path]:
    return label_images.label_images_in(path) if path.is_dir() else _named(r".*\.(tiff?|png)")(path)


#: In the order in which a format is looked for: those that can only be one thing first.
FORMATS = {
    found.name: found
    for found in (
        Format("micro-sam", "what micro-sam commits", _micro_sam, microsam.read),
        Format("cellpose", "Cellpose's _seg.npy", _named(r".*_seg\.npy"), cellpose.read),
        Format("imagej", "ImageJ's regions", _named(r".*\.zip", r".*\.roi"), imagej.read, imagej.write),
        Format("geojson", "GeoJSON, for QuPath", _geojson, geojson.read, geojson.write),
        Format("labelme", "LabelMe", _json(b'"shapes"'), labelme.read),
        Format("coco", "COCO with run lengths", _json(b'"images"', b'"annotations"', b'"categories"'), coco.read,
               coco.write, ".json"),
        Format("coco-polygons", "COCO with polygons", lambda _: [], None, coco.write_polygons, ".json"),
        Format("yolo", "YOLO for segmentation", _yolo, yolo.read, yolo.write),
        Format("dsb", "a folder for each image, a mask for each object", _below_one_by_one,
               label_images.read_one_by_one),
        Format("pairs", "images/ and masks/, to train with", _pairs, label_images.read, label_images.write_pairs),
        Format("labels", "label images", _label_images, label_images.read, label_images.write),
    )
}  # fmt: skip


def readable(name: str | None, path: Path) -> tuple[Format, list[Path]]:
    """Return the format of that name, or the one that the files at ``path`` are in, and these files.

    Raises
    ------
    UserError
        There is nothing at the path, or nothing of that format, or no such format.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist.", "Check the path.")
    known = [found for found in FORMATS.values() if found.read is not None]
    for found in known if name is None else [_of_name(name, known)]:
        try:
            files = found.find(path)
            if not files and found.name == "dsb" and name is not None:
                files = _one_by_one(path)
        except OSError as error:
            raise UserError(f"{path} could not be read: {error.strerror or error}.") from error
        if files:
            return found, files
    what = "labels in a known format" if name is None else FORMATS[name].title
    raise UserError(f"{path} has no {what}.", f"Known formats: {', '.join(f.name for f in known)}.")


def writable(name: str) -> Format:
    """Return the format of that name.

    Raises
    ------
    UserError
        There is no such format.
    """
    return _of_name(name, [found for found in FORMATS.values() if found.write is not None])


def _of_name(name: str, known: list[Format]) -> Format:
    for found in known:
        if found.name == name:
            return found
    raise UserError(f"'{name}' is no format for this.", f"Choose from {', '.join(found.name for found in known)}.")
