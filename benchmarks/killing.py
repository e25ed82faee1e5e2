"""A program that annotates is killed at random moments; what it had said was saved has to be there."""

from __future__ import annotations

import multiprocessing
import random
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np

from naslora_napari.live import AnnotationSession
from naslora_napari.store import Project
from naslora_napari.store.annotations import read_annotation
from naslora_napari.store.manifest import FILE, read_manifest
from naslora_napari.store.sealing import BACKUP
from naslora_trainer.errors import UserError
from naslora_trainer.prompts import Prediction, Prompts

IMAGES = ("a", "b", "c")
SIZE = 512
#: A kill comes so many seconds after the first save, at most.
LATEST_S = 0.25


@dataclass
class Truth:
    """What the steps lead to, worked out with numpy alone."""

    planes: dict[str, np.ndarray] = field(default_factory=lambda: {name: _empty() for name in IMAGES})
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    accepted: int = 0

    def copy(self) -> Truth:
        """Return one that can go on by itself."""
        return Truth({name: plane.copy() for name, plane in self.planes.items()}, dict(self.limits), self.accepted)

    def go(self, number: int) -> None:
        """Take a step."""
        name, kind, part, drawn = step(number)
        plane = self.planes[name]
        if kind == "limits":
            self.limits[name] = (0.0, 1.0 + number)
        elif kind == "delete":
            ids = np.unique(plane[plane > 0])
            if len(ids):
                plane[plane == ids[drawn % len(ids)]] = 0
        elif kind == "brush":
            plane[part] = plane.max() + 1
        else:
            free = _mask(part) & (plane == 0)
            plane[free] = plane.max() + 1
            self.accepted += bool(free.any())


def _empty() -> np.ndarray:
    return np.zeros((SIZE, SIZE), int)


def step(number: int) -> tuple[str, str, tuple[slice, slice], int]:
    """Return the image, kind and part of a step, and a number drawn for it: the same ones for each ``number``."""
    drawn = random.Random(number)
    kind = drawn.choices(("accept", "brush", "delete", "limits"), (6, 1, 2, 1))[0]
    row, col = drawn.randrange(SIZE - 60), drawn.randrange(SIZE - 60)
    part = slice(row, row + drawn.randrange(8, 60)), slice(col, col + drawn.randrange(8, 60))
    return drawn.choice(IMAGES), kind, part, drawn.randrange(1000)


def make(folder: Path) -> Path:
    """Return a new project of empty images."""
    for name in IMAGES:
        iio.imwrite(folder / f"{name}.png", np.zeros((SIZE, SIZE), np.uint8))
    return Project.create(folder / "killed", [folder / f"{name}.png" for name in IMAGES]).path


def annotate(path: Path, first: int, told: Connection) -> None:
    """Annotate for ever from a step on, and tell the number of each step after it returned."""
    project = Project.open(path, write=True)
    session = AnnotationSession(project)
    number = first
    while True:
        name, kind, part, drawn = step(number)
        if session.name != name:
            session.open(name, project.annotation(name))
        if kind == "limits":
            project.set_limits(name, (0.0, 1.0 + number))
        elif kind == "delete":
            ids = sorted(session.objects)
            if ids:
                session.delete(ids[drawn % len(ids)])
        elif kind == "brush":
            plane = session.labels.copy()
            plane[part] = max(session.objects, default=0) + 1
            session.brush(plane, part)
        elif (_mask(part) & (session.labels == 0)).any():
            accept(session, _mask(part))
        if session.saving.count or project.read_only:
            raise RuntimeError(session.saving.text or f"read-only: {project.owner}")
        told.send(number)
        number += 1


def accept(session: AnnotationSession, mask: np.ndarray) -> int:
    """Show a mask as an answer, and accept it."""
    propose(session, mask)
    return session.accept()


def propose(session: AnnotationSession, mask: np.ndarray) -> None:
    """Show a mask as an answer."""
    row, col = (float(index[0]) for index in np.nonzero(mask))
    session.set_prompts(Prompts().with_click((row, col)))
    low_res = np.zeros((1, 256, 256), np.float32)
    session.show(Prediction(mask, 0.9, low_res, mask[None], np.array([0.9]), "benchmark"))


def kill(folder: Path, kills: int, seed: int = 0) -> dict[str, Any]:
    """Annotate a project in ``folder``, kill the program so often, and look at the project after each time.

    Returns
    -------
    dict
        ``kills``; ``during_save`` (how many of them came while a step was saved that was there afterwards); ``steps``
        and ``accepted`` (that were told), ``lost`` (of these not there, or other pixels), ``unreadable`` (files that
        do not open, or not without a backup), ``left_over`` (temporary files).
    """
    path, truth, number = make(folder), Truth(), 0
    found = {"kills": 0, "during_save": 0, "steps": 0, "accepted": 0, "lost": 0, "unreadable": 0}
    drawn = random.Random(seed)
    context = context_for(__name__)
    while found["kills"] < kills:
        told = _killed(context, path, number, drawn.uniform(0, LATEST_S))
        for step_told in range(number, told):
            truth.go(step_told)
        number = told
        later = truth.copy()
        later.go(number)
        project = Project.open(path, write=True)
        found["unreadable"] += _unreadable(project)
        wrong, wrong_later = _wrong(project, truth), _wrong(project, later)
        if wrong and not wrong_later:  # the save was over, and its end could not be told any more
            truth, number = later, number + 1
            found["during_save"] += 1
        else:
            found["lost"] += wrong
        found["kills"] += 1
        project.close()
    found["steps"], found["accepted"] = number, truth.accepted
    found["left_over"] = sum(1 for left in path.rglob(".*.tmp*"))
    return found


def context_for(module: str) -> Any:
    """Return how to start processes: quickly, as copies of one that has imported ``module``, where that is possible."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    return context


def _killed(context: Any, path: Path, first: int, after_s: float) -> int:
    """Annotate in a process from a step on, kill it, and return the step after the last one that it told."""
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=annotate, args=(path, first, there), daemon=True)
    child.start()
    there.close()
    if not here.poll(120):
        raise RuntimeError("the program that annotates did not begin")
    time.sleep(after_s)
    child.kill()
    child.join()
    told = first
    try:
        while True:
            told = here.recv() + 1
    except EOFError:
        return told


def _wrong(project: Project, truth: Truth) -> int:
    """Return how many objects of the project are not those of the truth, pixel by pixel, and how many limits."""
    wrong = 0
    for entry in project.images:
        plane, labels = truth.planes[entry.name], project.annotation(entry.name).labels
        ids = np.union1d(np.unique(plane), np.unique(labels))
        wrong += sum(not np.array_equal(plane == key, labels == key) for key in ids[ids > 0])
        wrong += entry.limits != truth.limits.get(entry.name)
    return wrong


def _unreadable(project: Project) -> int:
    """Return how many files do not open: labels (also those that only a backup helps), their backups, the history."""
    bad = 0
    for folder in (project.path, project.path / BACKUP):
        for file in (folder / "annotations").glob("[!.]*.h5"):
            try:
                read_annotation(file, file.stem, (SIZE, SIZE))
            except UserError:
                bad += 1
        try:
            read_manifest(project.path, folder / FILE)
        except UserError:
            bad += 1
    done, undone = project.steps.listed()
    return bad + sum(project.steps.read(file) is None for file in (*done, *undone)) + len(project.take_notices())


def _mask(part: tuple[slice, slice]) -> np.ndarray:
    """Return an ellipse in a part of an image."""
    rows, cols = np.ogrid[:SIZE, :SIZE]
    (top, bottom), (left, right) = ((side.start, side.stop) for side in part)
    distance = ((rows - (top + bottom) / 2) / (bottom - top)) ** 2 + ((cols - (left + right) / 2) / (right - left)) ** 2
    return distance < 0.25
