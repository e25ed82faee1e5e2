"""The command of ``naslora`` for base models."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from naslora_resources.registry import models

from .console import Json, say, show


class Pixels(StrEnum):
    """How pixels are given to a model of one's own."""

    sam = "sam"
    unit = "unit"


def list_models(
    add: Annotated[
        Path | None,
        typer.Option(help="make a checkpoint of your own (SAM ViT-B, -L, -H, LiteMedSAM) a base model"),
    ] = None,
    name: Annotated[str, typer.Option(help="with --add: its id (default: as the file)")] = "",
    prompts: Annotated[
        str, typer.Option(help="with --add: what it was trained on, of point, box, multimask, with commas")
    ] = "point,box",
    pixels: Annotated[
        Pixels, typer.Option(help="with --add: pixels as segment-anything gives them, or 0 to 1 as MedSAM does")
    ] = Pixels.sam,
    remove: Annotated[str, typer.Option(help="take one of your own out of the list; its file stays")] = "",
    as_json: Json = False,
) -> None:
    """List the base models, after doing what the options ask."""
    if add is not None:
        from naslora_trainer.added_models import add_model

        kinds = tuple(kind.strip() for kind in prompts.split(",") if kind.strip())
        say(f"Added: {add_model(add, name, kinds, pixels.value).id}")
    if remove:
        from naslora_trainer.added_models import remove_model

        remove_model(remove)
    lines = []
    for entry in models().values():
        size = f"{entry.size_bytes / 2**20:.0f} MB" + (f" on {entry.base}" if entry.base else "")
        lines.append(f"{entry.id:16} {entry.title}  ({size}, {entry.licence})")
    show([dataclasses.asdict(entry) for entry in models().values()], as_json, "\n".join(lines))
