"""How instant does it feel? Real mouse and key events on the real window, with the real model and real children.

``click_ratio_p50`` and ``click_ratio_p95``: from the mouse button to the frame that shows the mask, over the bare
``SamPredictor.predict`` of the same model, image and prompts, in turns; the mouse comes as a hand does, slower and
slower (minimum jerk), and the button goes down 100 ms after it has stopped. ``still``: the same for other times in
which it stands still. ``jump_ratio_p50`` and ``jump_ratio_p95``: the mouse is at the place from one moment to the next
and the button down at once, which no hand does: nothing can be asked ahead. ``jump_ratio_no_draw_p50``: until napari
has the mask, without the frame. ``jump_ratio_over_bound_p50``: the click over the bare call and what a plain napari
takes to show a change of labels, which is what such a click cannot take less than. ``training_ratio_p95``: clicks
while a training process runs over clicks while it is held, in turns. ``stall_ms_max``: the longest
time the event loop stood still while an image was encoded, a model trained, a model swapped, a folder segmented, the
image changed. ``rss_growth``: by which share resident memory grew in a long session, after its beginning.
``dock_open_s``: see dock_open.py; the brush: see brush.py.
Run::

    python benchmarks/interactive.py --json > interactive.json
    python benchmarks/interactive.py --only session  # 1,000 clicks, 200 accepts, 50 swaps: about ten minutes
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslora_napari.demo.material import UNSEEN, prepare
from naslora_napari.demo.screen import screen
from naslora_trainer.config import PRESET_STEPS
from naslora_trainer.errors import UserError
from repeated import printed

if TYPE_CHECKING:
    from window import Annotator

WINDOW = (1280, 900)
#: Of the sample tiles, in pixels.
SIDE = 128
DOCK_OPEN = Path(__file__).with_name("dock_open.py")
#: A training has a step in each of its stages.
FEWEST_STEPS = 5
#: For so long the mouse stands still between its way and the button, in ms; the first one is what has the goal.
STILL_MS = (100, 0, 50, 200)
PARTS = ("clicks", "changes", "train", "batch", "session", "brush")
#: Clicks on the way to an adapter for the session, where the training itself is not measured.
FEW_CLICKS = 10
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
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS, help="what is measured; by default all")
    parser.add_argument("--stacks", action="store_true", help="print where the threads are when the window stalls")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    options = parser.parse_args()
    if min(options.pairs, options.changes, options.batch, options.strokes) < 1 or options.steps < FEWEST_STEPS:
        parser.error(f"at least one of each, and {FEWEST_STEPS} steps, are needed")

    def on_screen() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder, screen(headless=True):
            return measure(Path(folder), options)

    return int(printed(on_screen, options.json) is None)


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return what the module is about."""
    dock = _dock_open(options.stacks)
    import napari
    from qtpy.QtCore import QCoreApplication, Qt

    from heartbeat import Heartbeat
    from machine import machine
    from naslora_napari.demo.hands import Hands
    from window import Annotator

    PRESET_STEPS["quick"] = options.steps if "train" in options.only else FEWEST_STEPS
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
        found = _worked(annotator, folder, options)
    finally:
        viewer.close()
    described, stalls = machine(), beat.report()
    longest = [stalls[phase]["stall_ms"] for phase in PROMISED if phase in stalls]
    return {
        "benchmark": "interactive",
        "date": described.pop("date"),
        "machine": described,
        **_promised(found),
        "stall_ms_max": max(longest),
        "dock_open_s": dock["dock_open_s"],
        **found,
        "stalls": stalls,
        "dock": dock,
    }


def _worked(annotator: Annotator, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Do what is asked for, in an order in which each finds what it needs; return what was measured, by its name."""
    import brush
    import plain

    found: dict[str, Any] = {}
    if "clicks" in options.only:
        found["jumps"] = annotator.pairs(options.pairs)
        found["still"] = {after(still): annotator.pairs(options.pairs, still) for still in STILL_MS}
        found["plain"] = plain.frames(annotator.hands, SIDE, options.pairs)
    if "changes" in options.only:
        found["image_changes"] = annotator.change_images(options.changes)
    if "train" in options.only:
        found["training"] = annotator.train(options.training_clicks)
    elif "session" in options.only:
        annotator.train(FEW_CLICKS)
    if "batch" in options.only:
        annotator.batch()
    if "session" in options.only:
        found["session"] = annotator.session(options.clicks, options.accepts, options.swaps)
    if "brush" in options.only:
        found["brush"] = brush.measure(annotator.hands, annotator.beat, folder, options.side, options.strokes)
    return found


def after(still_ms: int) -> str:
    """Return the name of the clicks so many milliseconds after the mouse has stopped."""
    return f"after_{still_ms}_ms"


def _promised(found: dict[str, Any]) -> dict[str, float]:
    """Return the figures that have a goal, and those that say where the time goes."""
    promised: dict[str, float] = {}
    if "jumps" in found:
        jumps, hand, frame = found["jumps"], found["still"][after(STILL_MS[0])], found["plain"]["frame_ms"]["p50"]
        promised["click_ratio_p50"], promised["click_ratio_p95"] = hand["ratio_p50"], hand["ratio_p95"]
        promised["jump_ratio_p50"], promised["jump_ratio_p95"] = jumps["ratio_p50"], jumps["ratio_p95"]
        promised["jump_ratio_no_draw_p50"] = jumps["no_draw_ratio_p50"]
        promised["jump_ratio_over_bound_p50"] = round(jumps["click_ms"]["p50"] / (jumps["bare_ms"]["p50"] + frame), 3)
    if "training" in found:
        promised["training_ratio_p95"] = found["training"]["ratio_p95"]
    if "session" in found:
        promised["rss_growth"] = found["session"]["growth"]
    if "brush" in found:
        for key in ("brush_ratio", "brush_ratio_two_layers"):
            promised[key] = found["brush"][key]
    return promised


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
