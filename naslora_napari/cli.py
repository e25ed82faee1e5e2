"""``naslora``: everything the window does, without one."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.errors import UserError

from .cli_adapters import adapters
from .cli_batch import segment
from .cli_labels import export_labels, import_labels
from .cli_models import list_models
from .cli_suggest import suggest
from .cli_training import adopt, finetune
from .console import Json
from .console import say as _say
from .console import show as _print

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, help=__doc__
)

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps")]
Base = Annotated[str, typer.Option(help="base model, see 'naslora models'")]
Adapter = Annotated[Path | None, typer.Option(help="adapter file of a fine-tune")]


class MergedFormat(StrEnum):
    """What ``merge`` writes."""

    sam = "sam"
    peft = "peft"


def main() -> None:
    """Run the command line: exit status 0 on success, 2 on wrong use, 1 on failure."""
    try:
        app()
    except UserError as error:
        _say(f"naslora: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        _say("naslora: stopped.")
        sys.exit(1)


@app.command("app")
def open_app(path: Annotated[Path | None, typer.Argument(help="image, folder or project")] = None) -> None:
    """Open napari with the dock."""
    import napari

    from ._qt.dock import NasLoraDock

    viewer = napari.Viewer()
    dock = NasLoraDock(viewer)
    viewer.window.add_dock_widget(dock, name="NAS-LoRA", area="right")
    if path is not None:
        dock.open_project(path.resolve())
    napari.run()


@app.command()
def demo(
    headless: Annotated[bool, typer.Option("--headless", help="without a screen")] = False,
    out: Annotated[Path | None, typer.Option(help="folder for pictures and report (default: DEMO_OUT)")] = None,
) -> None:
    """Run the whole loop on the sample images; writes pictures and a report."""
    from .demo import run_demo

    folder = out or Path(os.environ.get("DEMO_OUT") or "demo-out")
    run_demo(headless=headless, out=folder)
    _say(f"Report: {folder / 'report.html'}")


@app.command()
def new(
    project: Annotated[Path, typer.Argument(help="the new folder NAME.naslora")],
    images: Annotated[Path, typer.Option(help="folder of images")],
    masks: Annotated[Path | None, typer.Option(help="folder of label images of the same names")] = None,
    complete: Annotated[bool, typer.Option("--complete", help="every object is labelled")] = False,
    as_json: Json = False,
) -> None:
    """Make a project of images, and label images if there are some."""
    from naslora_trainer.images import list_images, paired, read_labels

    from .store import Project

    pairs = paired(images, masks) if masks is not None else [(image, None) for image in list_images(images)]
    made = Project.create(project, [image for image, _ in pairs])
    for entry, (_, mask) in zip(made.images, pairs, strict=True):
        if mask is not None:
            made.import_labels(entry.name, read_labels(mask), complete)
    summary = made.summary()
    found = {"project": str(made.path), "images": summary.images, "objects": summary.objects}
    _print(found, as_json, f"{made.path}: {summary.images} images, {summary.objects} objects")


@app.command()
def relink(
    project: Annotated[Path, typer.Argument(help="a folder NAME.naslora")],
    folder: Annotated[Path, typer.Argument(help="where to look for images that were moved, sub-folders included")],
    as_json: Json = False,
) -> None:
    """Find images again that were moved, by what is in them; exit code 1 if some are still missing."""
    from .store import Project

    found = Project.open(project).relink(folder)
    result = {"found": {name: str(path) for name, path in found.found.items()}, "missing": list(found.missing)}
    _print(result | {"cut_short": found.cut_short}, as_json, found.text)
    if found.missing:
        raise typer.Exit(1)


app.command()(finetune)
app.command("adopt")(adopt)


@app.command()
def evaluate(
    images: Annotated[Path, typer.Option(help="folder of images")],
    masks: Annotated[Path, typer.Option(help="folder of label images of the same names")],
    adapter: Adapter = None,
    base: Base = DEFAULT_MODEL,
    prompts: Annotated[str, typer.Option(help="point, box, auto: one or several, with commas")] = "point,box",
    clicks: Annotated[int, typer.Option(min=1, max=20, help="simulated clicks on each object")] = 1,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Say how good the model is on labelled images."""
    kinds = [kind.strip() for kind in prompts.split(",") if kind.strip()]
    if not kinds or set(kinds) - {"point", "box", "auto"}:
        raise typer.BadParameter("choose from point, box, auto", param_hint="--prompts")
    from .batch.evaluation import evaluate_folder

    result = evaluate_folder(images, masks, base, adapter, kinds, clicks, device)
    _print(result, as_json, json.dumps(result, indent=2))


app.command()(segment)


@app.command("merge")
def merge_adapter(
    adapter: Annotated[Path, typer.Argument(help="adapter file")],
    out: Annotated[Path, typer.Option(help="the checkpoint to write (.pth, or .safetensors); for peft a folder")],
    format: Annotated[MergedFormat, typer.Option("--format", help="sam or peft")] = MergedFormat.sam,
) -> None:
    """Write base + adapter as one checkpoint for stock segment-anything, or the adapter alone as LoRA for PEFT."""
    import torch
    from safetensors.torch import save_file

    from naslora_trainer import Adapter, merge
    from naslora_trainer.files import saving

    loaded = Adapter.load(adapter)
    if format is MergedFormat.peft:
        from naslora_trainer.peft_export import export_peft

        export_peft(loaded, out)
        _say(f"{out}: a LoRA adapter for PEFT")
        return
    state = merge(loaded)
    with saving(out) as temporary:
        if out.suffix == ".safetensors":
            save_file(state, temporary)
        else:
            torch.save(state, temporary)
    _say(f"{out}: {len(state)} tensors")


app.command("export")(export_labels)
app.command("import")(import_labels)


app.command("adapters")(adapters)
app.command()(suggest)


@app.command()
def architecture(
    adapter: Annotated[Path, typer.Argument(help="adapter file")],
    picture: Annotated[Path | None, typer.Option(help="draw the course of the search into this PNG file")] = None,
    as_json: Json = False,
) -> None:
    """Show what the search of a fine-tune found: the probability of each operation, layer by layer."""
    from naslora_trainer import Adapter
    from naslora_trainer.architecture import table

    meta = Adapter.load(adapter).meta
    history = meta.report.get("architecture_history") or []
    if picture is not None:
        _draw_search(adapter, history, meta.report.get("config"), picture)
    found = {"file": str(adapter), "method": meta.method, "architecture": meta.architecture, "history": history}
    _print(found, as_json, table(meta.architecture))


def _draw_search(adapter: Path, records: Any, config: Any, picture: Path) -> None:
    from naslora_trainer.architecture import ArchitectureHistory, draw, stage_starts
    from naslora_trainer.config import FineTuneConfig

    try:
        history = ArchitectureHistory.from_json(records)
        draw(history, picture, stage_starts(FineTuneConfig.checked(**config)) if config else None)
    except ValueError as error:
        raise UserError(
            f"{adapter.name} does not hold the course of a search ({error}).",
            "Only a fine-tune that searches for operations (nas-lora) has one.",
        ) from error
    _say(f"Picture: {picture}")


app.command("models")(list_models)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Look at this machine: what works, what does not, and what to do."""
    from .doctor import examine

    checks = examine()
    lines = [
        f"{c.state.upper():5} {c.name:12} {c.found}" + (f"\n      -> {c.advice}" if c.advice else "") for c in checks
    ]
    _print([vars(check) for check in checks], as_json, "\n".join(lines))
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(1)
