"""project.toml: the classes of a project and where its images are."""

from __future__ import annotations

import itertools
import math
import os
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from naslora_trainer.channels import NONE, Channels
from naslora_trainer.errors import UserError
from naslora_trainer.lazy import MOST_CHANNELS
from naslora_trainer.pictures import picture_size, planes_of

from .content import PATTERN as CONTENT
from .content import known_content
from .names import safe_name, unique_name
from .records import ClassInfo, ImageEntry
from .sealing import write_sealed

FILE = "project.toml"
SCHEMA = "naslora-project"
#: 2 has planes of stacks, 3 what identifies files, and channels; older ones are read.
VERSION = 3
#: A file with more planes is no stack that a person looks through.
MOST_PLANES = 100_000
#: Colours of classes that were given none; those of Okabe and Ito, apart for the colour-blind too.
COLORS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")


@dataclass(frozen=True)
class Manifest:
    """The content of project.toml, with absolute image paths."""

    classes: tuple[ClassInfo, ...]
    images: tuple[ImageEntry, ...]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Class(_Strict):
    id: int = Field(ge=1, lt=2**31)
    name: str = Field(min_length=1, max_length=200)
    color: str = Field(pattern=r"^#[0-9a-fA-F]{6}$")


class _Image(_Strict):
    name: str = Field(min_length=1)
    path: str = Field(min_length=1)
    plane: list[Annotated[int, Field(ge=0)]] = Field(default=[], max_length=4)
    limits: list[Annotated[float, Field(allow_inf_nan=False)]] = Field(default=[], max_length=2)
    channels: list[Annotated[int, Field(ge=NONE, lt=MOST_CHANNELS)]] = Field(default=[], max_length=3)
    content: str = Field(default="", pattern=rf"^({CONTENT.pattern})?$")

    @field_validator("limits")
    @classmethod
    def _in_order(cls, limits: list[float]) -> list[float]:
        if limits and not (len(limits) == 2 and limits[0] < limits[1]):
            raise ValueError("two numbers are needed, the smaller one first")
        return limits


class _Content(_Strict):
    schema_name: str = Field(alias="schema")
    version: int
    classes: list[_Class] = Field(min_length=1)
    images: list[_Image] = []


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace project.toml, at once.

    Raises
    ------
    UserError
        The disk is full or read-only, or a name or path is not valid Unicode; the old file is intact.
    """
    content = {
        "schema": SCHEMA,
        "version": VERSION,
        "classes": [{"id": c.id, "name": c.name, "color": c.color} for c in manifest.classes],
        "images": [_image(i, folder) for i in manifest.images],
    }
    try:
        encoded = tomli_w.dumps(content).encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(
            f"{folder / FILE} cannot hold the file name {error.object[:80]!a}: it is not valid Unicode.",
            "Rename the image.",
        ) from error
    write_sealed(folder, FILE, encoded)


def read_manifest(folder: Path, path: Path | None = None) -> Manifest:
    """Return the content of project.toml, or of a copy at ``path``.

    Raises
    ------
    UserError
        It is missing, damaged, foreign or of a newer version, or a field is wrong.
    """
    path = path or folder / FILE
    content = _checked(path, _read(path))
    classes = tuple(ClassInfo(c.id, c.name, c.color) for c in content.classes)
    images = tuple(_entry(i, folder) for i in content.images)
    _check_unique(path, "class id", [str(c.id) for c in classes])
    _check_unique(path, "class name", [c.name for c in classes])
    _check_unique(path, "image name", [i.name.casefold() for i in images])
    for image in images:
        if safe_name(image.name) != image.name:
            raise UserError(f"{path} has the image name {image.name!r}, which cannot be a file name.", "Change it.")
    return Manifest(classes, images)


def with_images(manifest: Manifest, paths: Sequence[Path]) -> tuple[Manifest, list[str]]:
    """Return the manifest with image files added, and the names of all of ``paths``.

    Each plane of a stack or series becomes an image, named ``STEM-z03``.

    Raises
    ------
    UserError
        A file cannot be read as an image, or has too many planes.
    """
    known: dict[Path, list[ImageEntry]] = {}
    for image in manifest.images:
        known.setdefault(image.path, []).append(image)
    used = {image.name.casefold() for image in manifest.images}
    files = [Path(path).resolve() for path in paths]
    for path in files:
        if path not in known:
            known[path] = _entries(path, unique_name(path, used), used)
            used.update(image.name.casefold() for image in known[path])
    images = tuple(image for entries in known.values() for image in entries)
    return replace(manifest, images=images), [image.name for path in files for image in known[path]]


def _entries(path: Path, name: str, used: Collection[str]) -> list[ImageEntry]:
    """Return the images in a file, one or one for each plane; ``used`` are case-folded names of others."""
    axes, sizes = planes_of(path)
    content = known_content(path)
    if not axes:
        picture_size(path)
        return [ImageEntry(name, path, content=content)]
    if math.prod(sizes) > MOST_PLANES:
        raise UserError(f"{path} has {math.prod(sizes)} planes; {MOST_PLANES} are allowed.", "Save a part of it.")
    indices = list(itertools.product(*map(range, sizes)))
    names = [f"{name}-{numbered(axes, sizes, plane)}" for plane in indices]
    while any(name.casefold() in used for name in names):
        names = [f"{name}_" for name in names]
    return [ImageEntry(name, path, plane, content=content) for name, plane in zip(names, indices, strict=True)]


def numbered(axes: str, sizes: tuple[int, ...], plane: tuple[int, ...]) -> str:
    """Return an index as part of a name, such as ``t1z03``."""
    return "".join(f"{axis}{i:0{len(str(size - 1))}d}" for axis, size, i in zip(axes, sizes, plane, strict=True))


def with_channels(manifest: Manifest, name: str, channels: Channels) -> Manifest:
    """Return the manifest with other channels for the file of an image; its contrast limits were those of others."""
    path = next(image.path for image in manifest.images if image.name == name)
    images = (
        replace(image, channels=channels, limits=None) if image.path == path else image for image in manifest.images
    )
    return replace(manifest, images=tuple(images))


def with_limits(manifest: Manifest, name: str, limits: tuple[float, float]) -> Manifest:
    """Return the manifest with other contrast limits for the file of an image, which are those of all its planes."""
    path = next(image.path for image in manifest.images if image.name == name)
    images = (replace(image, limits=limits) if image.path == path else image for image in manifest.images)
    return replace(manifest, images=tuple(images))


def with_contents(manifest: Manifest, contents: Mapping[Path, str]) -> Manifest:
    """Return the manifest with what identifies files that had nothing of the kind."""
    images = (i if i.content else replace(i, content=contents.get(i.path, "")) for i in manifest.images)
    return replace(manifest, images=tuple(images))


def with_paths(manifest: Manifest, paths: Mapping[str, Path]) -> Manifest:
    """Return the manifest with other files for some images."""
    return replace(manifest, images=tuple(replace(i, path=paths.get(i.name, i.path)) for i in manifest.images))


def _image(image: ImageEntry, folder: Path) -> dict[str, object]:
    """Return an entry as it is written; what it does not have is left out."""
    entry: dict[str, object] = {"name": image.name, "path": _relative(image.path, folder)}
    if image.plane:
        entry["plane"] = list(image.plane)
    if image.limits:
        entry["limits"] = list(image.limits)
    if image.channels:
        entry["channels"] = list(image.channels)
    if image.content:
        entry["content"] = image.content
    return entry


def _entry(image: _Image, folder: Path) -> ImageEntry:
    """Return an entry as it was read."""
    limits = (image.limits[0], image.limits[1]) if image.limits else None
    path, plane, channels = _absolute(image.path, folder), tuple(image.plane), tuple(image.channels)
    return ImageEntry(image.name, path, plane, limits, image.content, channels)


def _read(path: Path) -> dict[str, object]:
    """Return the TOML of a file."""
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"{path.parent} is not a project: it has no {FILE}.", "Choose a folder NAME.naslora."
        ) from error
    except OSError as error:
        raise UserError(f"{path} could not be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}.", "Repair it or restore it from a copy.") from error


def _checked(path: Path, content: dict[str, object]) -> _Content:
    """Return the content after checking its schema, version and fields."""
    if content.get("schema") != SCHEMA:
        raise UserError(f"{path} does not describe a project of naslora-napari.")
    version = content.get("version")
    if type(version) is int and version > VERSION:
        raise UserError(
            f"{path} was written by a newer naslora-napari (version {version}, known: {VERSION}).",
            "Update naslora-napari.",
        )
    try:
        return _Content.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path} has a wrong field '{field}': {first['msg']}.", "Correct it in an editor.") from error


def _check_unique(path: Path, what: str, values: list[str]) -> None:
    """Check that no value occurs twice."""
    twice = [value for value in set(values) if values.count(value) > 1] if len(set(values)) < len(values) else []
    if twice:
        raise UserError(f"{path} has the {what} {min(twice)} twice.", "Correct it in an editor.")


def _relative(path: Path, folder: Path) -> str:
    """Return a path relative to the project, with forward slashes; absolute on another Windows drive."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return path.as_posix()


def _absolute(text: str, folder: Path) -> Path:
    """Return the absolute path of a path relative to the project."""
    return Path(os.path.normpath(folder / text))
