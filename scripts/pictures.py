"""Make the pictures of the documentation: `make pictures`.

The real window is worked in with mouse and keys, on the sample project and on drawn leaves, a model is fine-tuned, and
`docs/pictures/` gets what is to be seen meanwhile. It takes some minutes; without a screen it uses a virtual one.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QCoreApplication, Qt

from album import Album
from naslora_napari.demo.hands import Hands
from naslora_napari.demo.screen import screen
from tutorial_leaves import leaves
from tutorial_nuclei import nuclei

ROOT = Path(__file__).resolve().parent.parent
#: What this makes, in the order in which it does.
PICTURES = (
    "dock-empty", "sample-open", "image-list", "click", "correct", "accepted", "box", "brush", "light", "report",
    "plan", "training", "search", "trained", "comparison", "models", "base-models", "batch", "result", "gallery",
    "loop", "leaves-open", "leaves-class", "leaves-click", "leaves-area",
)  # fmt: skip
#: What people drew.
DRAWN = ("method.svg",)
WINDOW = (1380, 1000)
CHAPTERS: dict[str, Callable[[Album], None]] = {"nuclei": nuclei, "leaves": leaves}


def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--only", choices=list(CHAPTERS), action="append", help="a chapter; all of them by default")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work, screen(headless=True):
        import napari

        QCoreApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)  # so that it can fill them in
        made: set[str] = set()
        for name in chosen.only or CHAPTERS:
            viewer = napari.Viewer(title="napari")
            viewer.window.resize(*WINDOW)
            _, dock = viewer.window.add_plugin_dock_widget("naslora-napari", "NAS-LoRA")
            album = Album(Hands(viewer, dock), chosen.out, Path(work))
            try:
                CHAPTERS[name](album)
            finally:
                viewer.close()
            made.update(album.made)
    if not chosen.only and (missing := set(PICTURES) ^ made):
        raise SystemExit(f"made or listed, but not both: {', '.join(sorted(missing))}")


if __name__ == "__main__":
    main()
