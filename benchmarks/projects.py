"""Makes large projects quickly, and times how long one takes to open.

python benchmarks/projects.py FOLDER [--images N] [--objects N]    FOLDER must not exist
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from machine import machine
from naslora_napari.store import Annotation, ObjectInfo, Project
from naslora_napari.store.annotations import write_annotation
from naslora_napari.store.records import Marks
from naslora_trainer.data import areas_in

#: Side of the images, in pixels, and how many lie in one folder.
SIDE, IN_FOLDER = 256, 96


def main() -> None:
    """Make a project, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--objects", type=int, default=23, help="of each image")
    options = parser.parse_args()
    options.folder.mkdir()
    path = make_project(options.folder, options.images, options.objects)
    print(json.dumps(time_opening(path) | {"machine": machine()}, indent=2))


def make_project(folder: Path, images: int, objects: int, side: int = SIDE) -> Path:
    """Make a project of many different images, and return its folder.

    Parameters
    ----------
    folder : Path
        Where; it has to be there.
    images : int
        How many, in folders like those of a plate reader.
    objects : int
        Of each image but every tenth, which is untouched; two in ten of the others are complete.
    side : int
        Of the images, in pixels.
    """
    noise = np.random.default_rng(0).integers(0, 255, (2 * side, side), np.uint8)
    paths = []
    for k in range(images):
        path = folder / "images" / f"plate{k // IN_FOLDER:02d}" / f"well{k % IN_FOLDER:02d}.pgm"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = noise[k % side : k % side + side] ^ np.uint8(k // side)
        path.write_bytes(b"P5 %d %d 255\n" % (side, side) + pixels.tobytes())
        paths.append(path)
    project = Project.create(folder / "large", paths)
    labels, info = squares(side, objects), ObjectInfo(time="2026-01-01T00:00:00+00:00")
    infos = dict.fromkeys(areas_in(labels), info)
    (project.path / "annotations").mkdir()
    for k, image in enumerate(project.images):
        if k % 10:
            annotation = Annotation(labels, infos, Marks(complete=k % 10 < 3))
            write_annotation(project.path / "annotations" / f"{image.name}.h5", image.name, annotation)
    return project.path


def time_opening(path: Path) -> dict[str, Any]:
    """Return in how many seconds a project is open, its images listed and their objects counted: anew, and again."""
    (path / "cache" / "statuses.json").unlink(missing_ok=True)
    found: dict[str, Any] = {}
    for kind in ("cold", "warm"):
        started = time.perf_counter()
        project = Project.open(path)
        images = project.images
        found[f"open_{kind}_s"] = _since(started)
        summary = project.summary()
        found[f"counted_{kind}_s"] = _since(started)
        project.annotation(images[-1].name)
        found[f"labels_{kind}_s"] = _since(started)
    started = time.perf_counter()
    missing = project.missing()
    found["missing_s"] = _since(started)
    size = os.path.getsize(path / "project.toml")
    counts = {"images": summary.images, "objects": summary.objects, "missing": len(missing), "project_toml_bytes": size}
    return found | counts


def squares(side: int, count: int) -> np.ndarray:
    """Return a plane of ``count`` squares in rows."""
    labels = np.zeros((side, side), np.int32)
    across = int(np.ceil(np.sqrt(count)))
    step = side // across
    for key in range(1, count + 1):
        row, col = divmod(key - 1, across)
        labels[row * step : row * step + step // 2, col * step : col * step + step // 2] = key
    return labels


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 3)


if __name__ == "__main__":
    main()
