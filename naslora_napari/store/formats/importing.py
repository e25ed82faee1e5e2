"""Labels of others become objects of a project."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from naslora_trainer.data import areas_in
from naslora_trainer.errors import UserError
from naslora_trainer.pictures import picture_size

from ..edits import Edit, beside_others
from ..project import Project
from ..records import Annotation, ImageEntry, ObjectInfo, now
from .matching import Images, beside
from .neutral import WRONG, Found, Kind, Plane
from .registry import Format, readable

log = logging.getLogger("naslora_napari")

Events = Callable[[dict[str, Any]], None]
#: One import may add so many classes.
MOST_CLASSES = 1000


@dataclass(frozen=True)
class ImportedImage:
    """What came to one image: objects, pixels that they left to others, and what a person should know."""

    name: str
    objects: int
    overlap: int = 0
    notes: tuple[str, ...] = ()


@dataclass
class ImportReport:
    """What an import did.

    Attributes
    ----------
    format : str
        Name of the format.
    images : list of ImportedImage
        Images that got objects, or that are now known to have none.
    skipped : list of (what, why)
        Files and images that were left alone.
    added_images, added_classes : list of str
        Names of what the project did not have.
    """

    format: str
    images: list[ImportedImage] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    added_images: list[str] = field(default_factory=list)
    added_classes: list[str] = field(default_factory=list)

    @property
    def objects(self) -> int:
        """How many objects came."""
        return sum(image.objects for image in self.images)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self) | {"objects": self.objects}


def import_labels(
    project: Project,
    path: Path | str,
    format: str | None = None,
    complete: bool = False,
    add: bool = False,
    on_event: Events | None = None,
) -> ImportReport:
    """Take over labels for the images of a project.

    Images are found by the name that the labels tell: in the project, or beside the labels, from where they are added.
    One that has objects already is left alone unless ``add`` is given. What is damaged is left out and reported; the
    rest goes on.

    Parameters
    ----------
    project : Project
        Where they go.
    path : Path
        A file or a folder.
    format : str or None
        A name of :data:`~.registry.FORMATS`; None: what the files show.
    complete : bool
        Whether they are all objects of their images. It is not noted for an image of which something was left out.
    add : bool
        Whether objects are added to images that have some; they keep their pixels.
    on_event : callable or None
        Is called with ``progress`` events.

    Raises
    ------
    UserError
        There is nothing to import, or images cannot be added to the project.
    """
    found, files = readable(format, Path(path))
    report = ImportReport(found.name)
    matched = _matched(project, list(_read(found, files, report)), report)
    classes = _Classes(project, report)
    for step, (entry, one) in enumerate(matched, 1):
        if on_event is not None:
            on_event({"event": "progress", "step": step, "steps": len(matched), "name": entry.name})
        try:
            imported = _into(project, entry.name, one, classes, complete, add)
        except MemoryError:
            report.skipped.append((entry.name, "There is not enough memory."))
        except WRONG as error:
            log.info("Labels of %s were not imported.", entry.name, exc_info=True)
            report.skipped.append((entry.name, str(error)))
        else:
            report.images.append(imported)
    return report


def _read(format: Format, files: Sequence[Path], report: ImportReport) -> Iterator[Found]:
    """Yield what files say; one that is damaged is reported."""
    assert format.read is not None
    for path in files:
        try:
            yield from format.read(path)
        except WRONG as error:
            log.info("%s was not imported.", path, exc_info=True)
            report.skipped.append((path.name, str(error)))


def _matched(project: Project, founds: list[Found], report: ImportReport) -> list[tuple[ImageEntry, Found]]:
    """Return the images that are meant; those that the project does not have are added to it."""
    images = Images(project.images)
    where: dict[int, Path] = {}
    for number, found in enumerate(founds):
        try:
            path = beside(found) if images.find(found.file_name) is None else None
            if path is not None:
                picture_size(path)
                where[number] = path.resolve()
        except UserError:
            pass  # which is reported below
    if where:
        report.added_images = project.add_images(list(dict.fromkeys(where.values())))
        images = Images(project.images)
    pairs = []
    for number, found in enumerate(founds):
        try:
            entry = images.find(str(where[number]) if number in where else found.file_name)
            if entry is None:
                raise UserError("No image of that name is in the project or beside the labels.")
            if found.source is not None and found.source.resolve() == entry.path:
                raise UserError("It is the image itself, not its labels.")
            pairs.append((entry, found))
        except UserError as error:
            report.skipped.append((found.file_name or "labels without a name", str(error)))
    return pairs


class _Classes:
    """The classes of a project, to which missing ones are added."""

    def __init__(self, project: Project, report: ImportReport) -> None:
        self._project, self._report = project, report

    def id_of(self, kind: Kind) -> int:
        """Return the id of a class; one without a name is the first class."""
        known = self._project.classes
        if not kind.name:
            return known[0].id
        for info in known:
            if info.name.casefold() == kind.name.casefold():
                return info.id
        if len(self._report.added_classes) >= MOST_CLASSES:
            raise UserError(f"There are more than {MOST_CLASSES} new classes.", "Is it the right file?")
        self._report.added_classes.append(kind.name)
        return self._project.add_class(kind.name, kind.color).id


def _into(project: Project, name: str, found: Found, classes: _Classes, complete: bool, add: bool) -> ImportedImage:
    """Draw the objects for an image and save them."""
    annotation = project.annotation(name)
    shape = (annotation.labels.shape[0], annotation.labels.shape[1])
    if annotation.objects and not add:
        raise UserError(f"It has {len(annotation.objects)} objects already.", "Ask for them to be added (--add).")
    if found.size is not None and found.size != shape:
        raise UserError(
            f"The labels are for an image of {found.size[0]} x {found.size[1]} pixels, it has {shape[0]} x {shape[1]}."
        )
    plane = found.draw(shape)
    edit = _edit(annotation, plane, classes)
    notes = [*plane.notes]
    if plane.left_out:
        more = f" (and {len(plane.left_out) - 1} more)" if len(plane.left_out) > 1 else ""
        notes.append(f"{len(plane.left_out)} left out: {plane.left_out[0]}{more}")
    if not edit.empty:
        project.save(name, edit)
    elif not complete or plane.left_out:
        raise UserError(notes[-1] if notes else "There are no objects for it.")
    if complete and not plane.left_out:
        project.set_complete(name, True)
    return ImportedImage(name, len(edit.objects), plane.overlap, tuple(notes))


def _edit(old: Annotation, plane: Plane, classes: _Classes) -> Edit:
    """Return what adds the objects of a plane on what is free; note in the plane what is not."""
    taken = (plane.labels > 0) & (old.labels > 0)
    plane.overlap += int(np.count_nonzero(taken))
    time = now()
    kinds = plane.kinds
    edit = beside_others(
        old, plane.labels, lambda key: ObjectInfo(classes.id_of(kinds.get(key, Kind())), "import", time=time)
    )
    covered = set(areas_in(plane.labels[taken])) - set(areas_in(plane.labels[edit.where]))
    plane.left_out += [f"Object {key} lies under others." for key in sorted(covered)]
    return edit
