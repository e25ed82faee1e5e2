"""Is every label still there? After kills at random moments, and with damaged files; and what that costs.

python benchmarks/durability.py [--parts kill mutate accept open] [--kills N] [--mutations N] [--images N] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np

from killing import kill, propose
from machine import machine
from mutating import mutate
from naslora_napari.live import AnnotationSession
from naslora_napari.store import Project
from projects import make_project, squares

#: Accepting is timed on an image of this side, which has so many objects.
SIDE, OBJECTS, ACCEPTS = 2048, 500, 100
#: Objects of each image of the large project.
OBJECTS_EACH = 23
PARTS = ("kill", "mutate", "accept", "open")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--mutations", type=int, default=1000)
    parser.add_argument("--images", type=int, default=5000, help="of the project that is opened")
    parser.add_argument("--accepts", type=int, default=ACCEPTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="JSON only")
    parser.add_argument("--out", type=Path, help="a file for the JSON")
    options = parser.parse_args()
    document = measure(options)
    text = json.dumps(document, indent=2)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    print(text if options.json else table(document))
    sys.exit(0 if sound(document) else 1)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return what is asked for, with the machine."""
    parts: dict[str, Callable[[Path], dict[str, Any]]] = {
        "kill": lambda folder: kill(folder, options.kills, options.seed),
        "mutate": lambda folder: mutate(folder, options.mutations, options.seed),
        "accept": lambda folder: time_accepts(folder, options.accepts),
        "open": lambda folder: time_opening(folder, options.images),
    }
    document: dict[str, Any] = {"benchmark": "durability"}
    for name in options.parts:
        with tempfile.TemporaryDirectory(prefix="naslora-durability-") as folder:
            document |= parts[name](Path(folder))
    return document | {"seed": options.seed, "machine": machine()}


def sound(document: dict[str, Any]) -> bool:
    """Return whether nothing was lost, unreadable, silently wrong, crashed or hanging."""
    return not any(document.get(key) for key in ("lost", "unreadable", "crashes_or_hangs", "silent_wrong"))


def time_accepts(folder: Path, accepts: int) -> dict[str, float]:
    """Return how long it takes until an accepted object is on disk, p50 and p95 in ms, on a large image."""
    iio.imwrite(folder / "large.png", np.zeros((SIDE, SIDE), np.uint8))
    project = Project.create(folder / "p", [folder / "large.png"])
    session = AnnotationSession(project)
    project.import_labels("large", squares(SIDE, OBJECTS), complete=False)
    session.open("large", project.annotation("large"))
    drawn = np.random.default_rng(0)
    times: list[float] = []
    while len(times) < accepts:
        row, col = drawn.integers(0, SIDE - 40, 2)
        mask = np.zeros((SIDE, SIDE), bool)
        mask[row : row + 30, col : col + 40] = True
        if not (mask & (session.labels == 0)).any():
            continue
        propose(session, mask)
        started = time.perf_counter()
        session.accept()
        times.append(1e3 * (time.perf_counter() - started))
    project.close()
    p50, p95 = np.percentile(times, (50, 95))
    return {"accept_ms_p50": round(float(p50), 1), "accept_ms_p95": round(float(p95), 1)}


def time_opening(folder: Path, images: int) -> dict[str, Any]:
    """Return how long a person waits for a project of many images of which nothing is known yet, and for its counts.

    ``open_5000_s``: it is open, its images are listed, and one image's labels are read. ``counted_cold_s`` and
    ``counted_s``: its objects are counted, too, which the dock does beside it; for the first time, and again.
    """
    path = make_project(folder, images, OBJECTS_EACH)
    found: dict[str, Any] = {}
    for key in ("counted_cold_s", "counted_s"):
        started = time.perf_counter()
        opened = Project.open(path, write=True)
        opened.annotation(opened.images[0].name)
        found.setdefault("open_5000_s", round(time.perf_counter() - started, 2))
        summary = opened.summary()
        found[key] = round(time.perf_counter() - started, 2)
        opened.close()
    return found | {"open_images": summary.images, "open_objects": summary.objects}


def table(document: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    names = [key for key in document if key not in ("machine", "failures")]
    lines = ["| figure | |", "|---|---|", *(f"| {name} | {document[name]} |" for name in names)]
    return "\n".join([*lines, "", *document.get("failures", []), json.dumps(document["machine"])])


if __name__ == "__main__":
    main()
