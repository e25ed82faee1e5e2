"""The commands of ``naslora`` about the adapters of a project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.errors import UserError

from .console import Json, say, show

if TYPE_CHECKING:
    from .store.adapter_entries import AdapterEntry
    from .store.adapters import AdapterLibrary


def adapters(
    project: Annotated[Path, typer.Argument(help="a folder NAME.naslora")],
    import_file: Annotated[Path | None, typer.Option("--import", help="take over an adapter file")] = None,
    export: Annotated[tuple[str, Path] | None, typer.Option(help="save an adapter: its id, and a file")] = None,
    use: Annotated[str | None, typer.Option(help="work with this adapter from now on, or with 'base'")] = None,
    rename: Annotated[tuple[str, str] | None, typer.Option(help="an id, and a name")] = None,
    note: Annotated[tuple[str, str] | None, typer.Option(help="an id, and what to note")] = None,
    delete: Annotated[str | None, typer.Option(help="move an adapter to adapters/deleted")] = None,
    base: Annotated[str, typer.Option(help="base model that an imported adapter must belong to")] = DEFAULT_MODEL,
    as_json: Json = False,
) -> None:
    """List the adapters of a project, the newest first, after doing what the options ask."""
    from .store import Project

    opened = Project.open(project)
    library = opened.library
    try:
        if import_file is not None:
            from naslora_trainer.base import fingerprint, load_base

            say(f"Imported: {library.import_from(import_file, fingerprint(load_base(base))).key}")
        if rename is not None:
            library.rename(found(library, rename[0]).key, rename[1])
        if note is not None:
            library.note(found(library, note[0]).key, note[1])
        if export is not None:
            say(f"Saved: {library.export_to(found(library, export[0]).key, export[1])}")
        if use is not None:
            library.use("" if use == "base" else found(library, use).key)
        if delete is not None:
            say(f"Moved to {library.delete(found(library, delete).key)}")
        entries = library.entries()
    finally:
        opened.close()
    show(
        [entry.to_json() for entry in entries], as_json, "\n".join(map(_line, entries)) or "There are no adapters yet."
    )


def found(library: AdapterLibrary, text: str) -> AdapterEntry:
    """Return the adapter that a person means: by its key, the id of what it does, or a name that only one has.

    Raises
    ------
    UserError
        None is meant, or more than one.
    """
    entries = library.entries()
    for same in ("key", "id", "name"):
        meant = [entry for entry in entries if getattr(entry, same) == text]
        if len(meant) == 1:
            return meant[0]
    raise UserError(f"The project has no adapter '{text}', or more than one.", "See 'naslora adapters'.")


def starting_point(library: AdapterLibrary, start: str, base: str) -> dict[str, str]:
    """Return what a fine-tune goes on from, and what it has to beat: the adapter in use, if that is of the same base.

    Parameters
    ----------
    library : AdapterLibrary
        Of the project.
    start : str
        ``"current"``, an adapter of the library, a file, or empty: the base model.
    base : str
        Id of the base model.

    Raises
    ------
    UserError
        There is no such adapter.
    """
    current = library.in_use
    if current is not None and library[current.stem].base != base:
        current = None
    if start == "current" and current is None:
        raise UserError(f"No adapter of '{base}' is in use in this project.", "Leave --start out.")
    path = Path(start) if start.endswith(".safetensors") else current if start == "current" else None
    if start and path is None:
        path = found(library, start).path
    compared = current or path
    return {"start": str(path.resolve()) if path else "", "compare_with": str(compared.resolve()) if compared else ""}


def _line(entry: AdapterEntry) -> str:
    """Return an adapter in a line: when, state, held-out Dice, key, and what it is called."""
    dice = " ".join(
        f"{kind} {entry.validation[kind][1]:.3f}" if kind in entry.validation else " " * (len(kind) + 6)
        for kind in ("click", "box")
    )
    note = f"  ({entry.note})" if entry.note else ""
    return f"{entry.created:%Y-%m-%d %H:%M}  {entry.state:10}  {dice}  {entry.key}  {entry.name}{note}"
