"""The objects of a project, for other programs."""

from __future__ import annotations

import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from naslora_trainer.errors import UserError
from naslora_trainer.files import not_saved, saving
from naslora_trainer.pictures import planes_of
from naslora_trainer.pixel_size import pixel_size

from ..project import Project
from ..records import ImageEntry
from .importing import Events
from .neutral import Labelled
from .registry import Format, writable


@dataclass
class ExportReport:
    """What an export wrote: how many images and objects, and where."""

    format: str
    out: str
    images: int = 0
    objects: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def export_project(
    project: Project, format: str, out: Path | str, overwrite: bool = False, on_event: Events | None = None
) -> ExportReport:
    """Write the images that have accepted objects, or are known to have none, in another format.

    Everything is written beside ``out`` first and then renamed, so that an interrupted export leaves nothing.

    Parameters
    ----------
    project : Project
        What to write.
    format : str
        A name of :data:`~.registry.FORMATS` that can be written.
    out : Path
        A folder, or for COCO a file; it must not exist, or be empty.
    overwrite : bool
        Whether files of the same names are replaced; others in the folder stay.
    on_event : callable or None
        Is called with ``progress`` events.

    Raises
    ------
    UserError
        Something is there already, there is nothing to write, or it cannot be written.
    """
    found, out = writable(format), Path(out).absolute()
    if found.suffix and out.suffix.lower() != found.suffix:
        out = out.with_name(out.name + found.suffix)
    _check_free(found, out, overwrite)
    report = ExportReport(found.name, str(out))
    images = _images(project, report, on_event)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if found.suffix:
            with saving(out) as temporary:
                _write(found, images, temporary, project, report)
        else:
            _write_folder(found, images, out, project, report)
    except OSError as error:
        raise not_saved(out, error) from error
    return report


def _check_free(found: Format, out: Path, overwrite: bool) -> None:
    """Check that nothing of a person is in the way."""
    if out.is_dir() == bool(found.suffix) and out.exists():
        raise UserError(f"{out} is a {'folder' if out.is_dir() else 'file'}.", "Choose another name.")
    if not overwrite and out.exists() and (found.suffix or any(out.iterdir())):
        raise UserError(
            f"{out} exists already.", "Choose an empty folder or a new name; in a terminal also --overwrite."
        )


def _write_folder(found: Format, images: Iterator[Labelled], out: Path, project: Project, report: ExportReport) -> None:
    temporary = out.with_name(f".{secrets.token_hex(6)}.tmp")
    try:
        temporary.mkdir()
        _write(found, images, temporary, project, report)
        if out.exists():
            _move_files(temporary, out)
        else:
            os.rename(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(found: Format, images: Iterator[Labelled], path: Path, project: Project, report: ExportReport) -> None:
    assert found.write is not None
    found.write(images, path)
    if not report.images:
        raise UserError(f"The project {project.name} has no objects to export.", "Accept a few objects first.")


def _move_files(source: Path, target: Path) -> None:
    """Move the files of a folder into another one, each at once."""
    for path in sorted(source.rglob("*")):
        new = target / path.relative_to(source)
        if path.is_dir():
            new.mkdir(exist_ok=True)
        else:
            os.replace(path, new)


def _images(project: Project, report: ExportReport, on_event: Events | None) -> Iterator[Labelled]:
    """Yield the images of a project that have something to say."""
    classes = {info.id: info for info in project.classes}
    entries = project.images
    names = Counter(entry.path.name.casefold() for entry in entries)
    for step, entry in enumerate(entries, 1):
        if on_event is not None:
            on_event({"event": "progress", "step": step, "steps": len(entries), "name": entry.name})
        annotation = project.annotation(entry.name).accepted()
        if not (annotation.objects or annotation.complete):
            continue
        report.images += 1
        report.objects += len(annotation.objects)
        alone = names[entry.path.name.casefold()] == 1
        yield Labelled(
            entry.name,
            entry.path.name if alone else f"{entry.name}{entry.path.suffix}",
            annotation.labels,
            {key: classes[info.class_id] for key, info in annotation.objects.items()},
            project.classes,
            partial(project.picture, entry.name),
            _index(entry),
            pixel_size=partial(pixel_size, entry.path),
        )


def _index(entry: ImageEntry) -> dict[str, int]:
    """Return the place of a plane along the axes of its stack, by their letters; empty where the file does not tell."""
    if not entry.plane:
        return {}
    try:
        axes, _ = planes_of(entry.path)
    except UserError:  # the objects are exported all the same
        return {}
    return dict(zip(axes, entry.plane, strict=False))
