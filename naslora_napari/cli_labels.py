"""``naslora export`` and ``naslora import``: labels for other programs, and from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Json, follow, say, show

if TYPE_CHECKING:
    from .store.formats import ImportReport

Project = Annotated[Path, typer.Argument(help="a folder NAME.naslora")]


def export_labels(
    project: Project,
    out: Annotated[Path, typer.Option(help="a new folder; for coco a file")],
    format: Annotated[
        str, typer.Option("--format", help="labels, pairs, coco, coco-polygons, yolo, geojson or imagej")
    ] = "labels",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace files of the same names")] = False,
    as_json: Json = False,
) -> None:
    """Write the labels of a project for other programs; docs/formats.md says what each format keeps."""
    from . import store
    from .store.formats import FORMATS, export_project

    _check(format, [found.name for found in FORMATS.values() if found.write is not None])
    report = export_project(store.Project.open(project), format, out, overwrite, None if as_json else follow(False))
    if not as_json:
        say("\r\033[K", end="")
    show(report.to_json(), as_json, f"{report.objects} objects of {report.images} images: {report.out}")


def import_labels(
    project: Project,
    path: Annotated[Path, typer.Argument(help="a file or folder of labels")],
    format: Annotated[str | None, typer.Option("--format", help="default: what the files show")] = None,
    complete: Annotated[bool, typer.Option("--complete", help="they are all objects of their images")] = False,
    add: Annotated[bool, typer.Option("--add", help="also to images that have objects already")] = False,
    as_json: Json = False,
) -> None:
    """Take over labels of other programs; docs/formats.md lists the formats."""
    from . import store
    from .store import formats

    if format is not None:
        _check(format, [found.name for found in formats.FORMATS.values() if found.read is not None])
    opened = store.Project.open(project)
    report = formats.import_labels(opened, path, format, complete, add, None if as_json else follow(False))
    if not as_json:
        say("\r\033[K", end="")
    show(report.to_json(), as_json, f"{report.objects} objects on {len(report.images)} images ({report.format})")
    _tell(report)
    if not report.images:
        raise typer.Exit(1)


def _tell(report: ImportReport) -> None:
    """Say on standard error what a person should know."""
    if report.added_images:
        say(f"Added images: {', '.join(report.added_images)}")
    if report.added_classes:
        say(f"Added classes: {', '.join(report.added_classes)}")
    for image in report.images:
        notes = [f"{image.overlap} pixels were left to earlier objects"] if image.overlap else []
        for note in (*notes, *image.notes):
            say(f"{image.name}: {note}")
    for name, why in report.skipped:
        say(f"Not imported: {name}. {why}")


def _check(format: str, known: list[str]) -> None:
    """Check the name of a format."""
    if format not in known:
        raise typer.BadParameter(f"choose from: {', '.join(known)}", param_hint="--format")
