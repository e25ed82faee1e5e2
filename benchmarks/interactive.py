"""How instant does it feel? Real mouse and key events on the real window, with the real model and real children.

``click_ratio_p50`` and ``click_ratio_p95``: from the mouse button to the frame that shows the mask, over the bare
``SamPredictor.predict`` of the same model, image and prompts, in turns. ``training_ratio_p95``: clicks while a training
process runs over clicks while it is held, in turns. ``stall_ms_max``: the longest time the event loop stood still
while an image was encoded, a model trained, a model swapped, a folder segmented, the image changed. ``rss_growth``:
by which share resident memory grew in a long session, after its beginning. ``dock_open_s``: see dock_open.py; the
brush: see brush.py. Run::

    python benchmarks/interactive.py --json > interactive.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from naslora_napari.demo.material import UNSEEN, prepare
from naslora_napari.demo.screen import screen
from naslora_trainer.config import PRESET_STEPS
from naslora_trainer.errors import UserError

WINDOW = (1280, 900)
DOCK_OPEN = Path(__file__).with_name("dock_open.py")
#: A training has a step in each of its stages.
FEWEST_STEPS = 5
#: The phases in which no stall may be felt.
PROMISED = ("encode", "train", "swap", "batch", "change the image")


def main() -> int:
    """Measure and print; exit status 1 when a step in the window fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=200, help="clicks, each with a bare call")
    parser.add_argument("--training-clicks", type=int, default=200, help="clicks during the training, half while held")
    parser.add_argument("--steps", type=int, default=PRESET_STEPS["quick"], help="of the training")
    parser.add_argument("--changes", type=int, default=24, help="changes of the image")
    parser.add_argument("--batch", type=int, default=8, help="images of the folder that is segmented, at most 8")
    parser.add_argument("--clicks", type=int, default=1000, help="in the session whose memory is watched")
    parser.add_argument("--accepts", type=int, default=200, help="in that session")
    parser.add_argument("--swaps", type=int, default=50, help="in that session")
    parser.add_argument("--strokes", type=int, default=20, help="of the brush, in the dock and in plain napari")
    parser.add_argument("--side", type=int, default=4096, help="of the image for the brush, in pixels")
    parser.add_argument("--stacks", action="store_true", help="print where the threads are when the window stalls")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    options = parser.parse_args()
    if min(options.pairs, options.changes, options.batch, options.strokes) < 1 or options.steps < FEWEST_STEPS:
        parser.error(f"at least one of each, and {FEWEST_STEPS} steps, are needed")
    try:
        with redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as folder, screen(headless=True):
            found = measure(Path(folder), options)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(found) if options.json else json.dumps(found, indent=2))
    return 0


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return what the module is about."""
    dock = _dock_open(options.stacks)
    import napari
    from qtpy.QtCore import QCoreApplication, Qt

    import brush
    from heartbeat import Heartbeat
    from machine import machine
    from naslora_napari.demo.hands import Hands
    from window import Annotator

    PRESET_STEPS["quick"] = options.steps
    QCoreApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)  # so that it can fill them in
    material = prepare(folder, ())
    _keep_only(material.batch, options.batch)
    viewer = napari.Viewer()
    viewer.window.resize(*WINDOW)
    _, widget = viewer.window.add_plugin_dock_widget("naslora-napari", "NAS-LoRA")
    beat = Heartbeat(options.stacks)
    annotator = Annotator(Hands(viewer, widget), beat, material)
    try:
        annotator.open()
        clicks = annotator.pairs(options.pairs)
        changes = annotator.change_images(options.changes)
        training = annotator.train(options.training_clicks)
        annotator.batch()
        session = annotator.session(options.clicks, options.accepts, options.swaps)
        strokes = brush.measure(annotator.hands, beat, folder, options.side, options.strokes)
    finally:
        viewer.close()
    described, stalls = machine(), beat.report()
    return {
        "benchmark": "interactive",
        "date": described.pop("date"),
        "machine": described,
        "click_ratio_p50": clicks["ratio_p50"],
        "click_ratio_p95": clicks["ratio_p95"],
        "training_ratio_p95": training["ratio_p95"],
        "stall_ms_max": max(stalls[phase]["stall_ms"] for phase in PROMISED),
        "rss_growth": session["growth"],
        "dock_open_s": dock["dock_open_s"],
        "brush_ratio": strokes["brush_ratio"],
        "clicks": clicks,
        "training": training,
        "image_changes": changes,
        "session": session,
        "stalls": stalls,
        "dock": dock,
        "brush": strokes,
    }


def _keep_only(folder: Path, count: int) -> None:
    """Leave so many images in the folder for the batch, one of which is the image of the clicks."""
    others = [path for path in sorted(folder.iterdir()) if path.stem != UNSEEN]
    for path in others[count - 1 :]:
        path.unlink()


def _dock_open(show_stacks: bool) -> dict[str, Any]:
    command = [sys.executable, str(DOCK_OPEN), *(["--stacks"] if show_stacks else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise UserError("The dock could not be opened.")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    sys.exit(main())
