"""``naslora segment``: a folder, here or as the child of a window."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from naslora_resources.registry import DEFAULT_MODEL

from .console import Json, follow, say


class LabelFormat(StrEnum):
    """Of label images."""

    tiff = "tiff"
    png = "png"
    zarr = "zarr"


def segment(
    folder: Annotated[Path, typer.Argument(help="folder of images")],
    out: Annotated[Path, typer.Option(help="folder for label images and measurements")],
    adapter: Annotated[Path | None, typer.Option(help="adapter file of a fine-tune")] = None,
    base: Annotated[str, typer.Option(help="base model, see 'naslora models'")] = DEFAULT_MODEL,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="keep what this model has segmented already with these settings")
    ] = False,
    measure: Annotated[
        Path | None, typer.Option(help="table of objects, .csv or .parquet (default: OUT/measurements.csv)")
    ] = None,
    recursive: Annotated[bool, typer.Option("--recursive", help="sub-folders too; the results mirror them")] = False,
    format: Annotated[LabelFormat, typer.Option("--format", help="of label images")] = LabelFormat.tiff,
    also: Annotated[str, typer.Option(help="overlays, geojson, coco, semantic: one or several, with commas")] = "",
    workers: Annotated[int, typer.Option(min=0, help="so many processes share the images")] = 0,
    dask: Annotated[str, typer.Option(help="share them over the cluster at tcp://... or tls://...")] = "",
    child: Annotated[bool, typer.Option("--child", hidden=True)] = False,
    as_json: Json = False,
) -> None:
    """Segment all images of a folder; exit code 1 if one could not be."""
    options: dict[str, Any] = {
        "adapter": adapter,
        "base": base,
        "device": device,
        "resume": resume,
        "measure": measure,
        "recursive": recursive,
        "format": format.value,
        "extras": [extra.strip() for extra in also.split(",") if extra.strip()],
    }
    if workers and dask:
        raise typer.BadParameter("choose one of --workers and --dask", param_hint="--workers")
    options |= {"workers": workers, "dask": dask}
    if child:
        sys.exit(_as_child(folder, out, options))
    from .batch import segment_folder

    report = segment_folder(folder, out, on_event=_with_pace(follow(as_json)), **options)
    say(f"{report.objects} objects in {report.images} images: {report.out}")
    if report.failed:
        say("\n".join(f"Not segmented: {name}. {why}" for name, why in report.failed))
        raise typer.Exit(1)


def _with_pace(show: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """Return what shows events with rate and time left beside the name of the image."""
    from .batch.pace import pace_text

    def shown(event: dict[str, Any]) -> None:
        pace = pace_text(event)
        show(event | {"stage": f"{event['name']} ({pace})"} if pace else event)

    return shown


def _as_child(folder: Path, out: Path, options: dict[str, Any]) -> int:
    """Run as the child of a window: low priority, events on standard output, stopped and paused by its parent."""
    from naslora_trainer.child import StopRequest, lower_priority, take_stdout
    from naslora_trainer.events import EventWriter, error_event

    lower_priority()
    stop = StopRequest()
    events = take_stdout()
    stop.listen()
    with EventWriter(events, None) as emit:
        try:
            from .batch import segment_folder

            segment_folder(folder, out, on_event=emit, should_stop=stop, is_paused=lambda: stop.paused, **options)
        except Exception as error:
            import traceback

            traceback.print_exc()
            emit(error_event(error, "The segmentation"))
            return 1
    return 0
