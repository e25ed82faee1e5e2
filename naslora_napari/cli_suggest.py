"""The command of ``naslora`` that says which images to label next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.errors import UserError

from .console import Json, say, show

if TYPE_CHECKING:
    from .store import Project


def suggest(
    project: Annotated[Path, typer.Argument(help="a folder NAME.naslora")],
    adapter: Annotated[Path | None, typer.Option(help="adapter file (default: the one in use in the project)")] = None,
    base: Annotated[str, typer.Option(help="base model, see 'naslora models'")] = DEFAULT_MODEL,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps")] = "auto",
    count: Annotated[int, typer.Option(min=1, help="how many images")] = 10,
    as_json: Json = False,
) -> None:
    """List the images whose labels would help the model most: those it doubts, unlike labelled ones and each other."""
    from .live import LivePredictor
    from .live.doubt import Doubt, ranked
    from .live.embeddings import EmbeddingCache
    from .live.kept_doubts import KeptDoubts, labelled, to_label
    from .store import Project

    opened = Project.open(project)
    for error in opened.refresh().values():
        say(str(error))
    wanted, known = to_label(opened.images, opened.status), labelled(opened.images, opened.status)
    entries = [*wanted, *known] if wanted else []
    cache = opened.path / "cache"
    predictor = LivePredictor(
        base, adapter or _in_use(opened, base), device, EmbeddingCache(folder=cache / "embeddings")
    )
    predictor.load()
    kept = KeptDoubts(cache / "doubts")
    doubts: dict[str, Doubt] = {}
    for k, entry in enumerate(entries):
        say(f"\r{k + 1} of {len(entries)}: {entry.name}\033[K", end="")
        try:
            doubts[entry.name] = kept.measure(entry, lambda name=entry.name: opened.picture(name), predictor)  # type: ignore[misc]
        except UserError as error:
            say(f"\r{error}\033[K")
    say("\r\033[K", end="")
    chosen = [entry.name for entry in known if entry.name in doubts]
    if entries and len(doubts) == len(chosen):
        raise UserError("None of the images can be opened.", "See 'naslora relink' if they were moved.")
    paths = {entry.name: str(entry.path) for entry in entries}
    found = [
        {"name": name, "path": paths[name], "doubt": doubts[name].value, "why": doubts[name].why}
        | {"parts": doubts[name].parts}
        for name in ranked(doubts, count, chosen)
    ]
    text = "\n".join(f"{one['doubt']:.3f}  {one['name']}  ({one['why']})" for one in found)
    show({"model": predictor.version, "images": found}, as_json, text or "Every image is complete or skipped.")


def _in_use(project: Project, base: str) -> Path | None:
    """Return the adapter that the project works with, if it is of that base model."""
    path = project.library.in_use
    return path if path is not None and project.library[path.stem].base == base else None
