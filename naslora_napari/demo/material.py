"""The files that the demo works on: copies of the sample tiles, and a project that knows most of their outlines."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from naslora_resources.samples import sample_folder
from naslora_trainer.errors import UserError
from naslora_trainer.images import read_labels

from ..store import Project
from ..store.sample import copied_tiles

FOLDER, MARKER = "files", ".made-by-naslora-demo"
#: The tile on which objects are clicked in the window, and the unseen one on which answers are compared.
WORKED_ON, UNSEEN = "00", "12"


@dataclass(frozen=True, eq=False)
class Material:
    """Where things are.

    Attributes
    ----------
    project : Path
        A project with the eight labelled tiles and one unseen tile.
    batch : Path
        A folder with the eight held-out tiles.
    outlines : ndarray
        ``(H, W)`` true outlines of the tile that is worked on.
    unseen_outlines : ndarray
        ``(H, W)`` true outlines of the unseen tile, which only measure.
    """

    project: Path
    batch: Path
    outlines: np.ndarray
    unseen_outlines: np.ndarray


def prepare(out: Path, left_open: tuple[int, ...]) -> Material:
    """Copy the sample tiles into ``out`` and make the project, anew.

    Parameters
    ----------
    out : Path
        Folder of the demo.
    left_open : tuple of int
        Outlines of the tile that is worked on which the person has yet to make.

    Raises
    ------
    UserError
        The folder cannot be written, or holds files that the demo did not make.
    """
    folder = _fresh(out / FOLDER)
    labelled = copied_tiles("labelled", folder / "nuclei")
    batch = copied_tiles("held_out", folder / "more-nuclei")
    unseen = next(path for path in batch if path.stem == UNSEEN)
    project = Project.create(folder / "nuclei.naslora", [*labelled, unseen], classes=("nucleus",))
    names = {entry.path.stem: entry.name for entry in project.images}
    for path in labelled:
        outlines = _outlines("labelled", path.stem)
        worked_on = path.stem == WORKED_ON
        if worked_on:
            outlines = np.where(np.isin(outlines, left_open), 0, outlines)
        project.import_labels(names[path.stem], outlines, complete=not worked_on)
    return Material(project.path, batch[0].parent, _outlines("labelled", WORKED_ON), _outlines("held_out", UNSEEN))


def _outlines(part: str, stem: str) -> np.ndarray:
    return read_labels(sample_folder(part) / "masks" / f"{stem}.png")


def _fresh(folder: Path) -> Path:
    """Return an empty folder; one of an earlier demo is removed, any other is left alone."""
    if folder.exists() and not (folder / MARKER).is_file():
        raise UserError(f"{folder} exists and was not made by the demo.", "Choose another folder for the demo.")
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        (folder / MARKER).touch()
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}.", "Choose another folder.") from error
    return folder
