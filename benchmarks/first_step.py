"""How long it takes from the button "Fine-tune on my labels" to the first step of the training, in the real window.

The project has the eight labelled sample tiles. The button is pressed with the mouse; the first step is there when the
window shows its loss. What each part of the way takes is told by the events of the training process. Then the training
is cancelled with the mouse, which is timed until the window says that it has ended, with its checkpoint kept, and the
next one begins. It needs Xvfb or a screen. Run::

    python benchmarks/first_step.py --json > first_step.json
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from naslora_napari.demo.material import prepare
from naslora_napari.demo.run import WINDOW
from naslora_napari.demo.screen import screen
from naslora_trainer.errors import UserError
from repeated import parser_of, printed

TRAINING_S = 600.0
#: What is waited for, one after the other.
PARTS = ("labels_collected_s", "imported_and_loaded_s", "images_encoded_and_first_step_s", "shown_s")


def main() -> int:
    """Measure and print; exit status 1 when a step in the window fails."""
    options = parser_of(__doc__, "runs", 5, "trainings that are begun").parse_args()

    def on_screen() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder, screen(headless=True):
            return measure(Path(folder), options.runs)

    return int(printed(on_screen, options.json, summary) is None)


def measure(folder: Path, runs: int) -> dict[str, Any]:
    """Open the window and the project, and begin so many trainings, each after the one before was cancelled.

    Returns
    -------
    dict
        ``machine``; ``preset``; ``first_step_s``: the median, ``first_step_s_first`` of the first training in the
        window, ``first_step_s_max``; the median of each of :data:`PARTS`; ``cancel_s``, ``cancel_s_max``: from *Cancel*
        to the end; ``runs``: the same of each.
    """
    import napari
    from qtpy.QtCore import QCoreApplication, Qt

    from machine import machine
    from naslora_napari.demo.hands import Hands

    QCoreApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)  # so that it can fill them in
    material = prepare(folder, ())
    viewer = napari.Viewer()
    try:
        viewer.window.resize(*WINDOW)
        _, dock = viewer.window.add_plugin_dock_widget("naslora-napari", "NAS-LoRA")
        hands = Hands(viewer, dock)
        hands.choose_folder(dock.open_panel.project_button, material.project)
        hands.wait(lambda: dock.session is not None and dock.predictor.is_ready, "the project", TRAINING_S)
        found = [begin(hands, material.project) for _ in range(runs)]
        preset = dock.train_panel.preset.currentText()
    finally:
        viewer.close()
    whole = [run["first_step_s"] for run in found]
    return {
        "machine": machine(),
        "preset": preset,
        "first_step_s": round(statistics.median(whole), 2),
        "first_step_s_first": whole[0],
        "first_step_s_max": max(whole),
        **{part: round(statistics.median(run[part] for run in found), 2) for part in (*PARTS, "cancel_s")},
        "cancel_s_max": max(run["cancel_s"] for run in found),
        "runs": found,
    }


def begin(hands: Any, project: Path) -> dict[str, float]:
    """Press the button, wait for the first step, cancel; return what it took."""
    panel, training = hands.dock.train_panel, hands.dock.training
    ended: list[dict[str, Any]] = []
    hands.dock.trained.connect(ended.append)
    hands.wait(lambda: panel.start_button.isEnabled() and not training.running, "the button", TRAINING_S)
    before, process = set((project / "runs").glob("*")), training.process_id
    pressed = time.time()
    hands.press(panel.start_button)
    hands.wait(lambda: training.process_id not in (None, process) or ended, "the training process", TRAINING_S)
    child = time.time()
    # The curve of the training before goes when this one says that it has begun.
    hands.wait(lambda: not panel.curve.points["loss"] or bool(ended), "the beginning", TRAINING_S)
    hands.wait(lambda: bool(panel.curve.points["loss"]) or bool(ended), "the first step", TRAINING_S)
    shown = time.time()
    if ended:
        raise UserError("The training ended before its first step.", str(ended))
    cancelled = time.time()
    hands.press(panel.cancel_button)
    hands.wait(lambda: bool(ended), "the end of the training", TRAINING_S)
    stopped = round(time.time() - cancelled, 2)
    hands.dock.trained.disconnect(ended.append)
    (run,) = set((project / "runs").glob("*")) - before
    events = [json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    if ended[0].get("status") != "cancelled" or not (run / "checkpoint").is_file():
        raise UserError("The training was not cancelled with its checkpoint kept.", str(ended))
    return {**parts_of(events, pressed, child, shown), "cancel_s": stopped}


def parts_of(events: Sequence[dict[str, Any]], pressed: float, child: float, shown: float) -> dict[str, float]:
    """Return how long the way to the first step took, and each of :data:`PARTS` of it, in s.

    Parameters
    ----------
    events : sequence of dict
        Of the training process, with the ``time`` of each.
    pressed, child, shown : float
        When the button was pressed, the process was there and the window showed the loss of the step, in s.
    """
    step = next(event["time"] for event in events if event["event"] == "progress" and event["loss"] is not None)
    started = next(event["time"] for event in events if event["event"] == "started")
    times = pairwise([pressed, child, started, step, shown])
    parts = {part: round(after - one, 2) for part, (one, after) in zip(PARTS, times, strict=True)}
    return {"first_step_s": round(shown - pressed, 2), **parts}


def summary(found: dict[str, Any]) -> str:
    """Return the figures in sentences."""
    parts = ", ".join(f"{part.removesuffix('_s').replace('_', ' ')} {found[part]:.1f} s" for part in PARTS)
    return (
        f"From the button to the first step: {found['first_step_s']:.1f} s (median of {len(found['runs'])}), "
        f"{found['first_step_s_first']:.1f} s the first time, at most {found['first_step_s_max']:.1f} s: {parts}. "
        f"Cancelled in {found['cancel_s']:.1f} s, at most {found['cancel_s_max']:.1f} s."
    )


if __name__ == "__main__":
    sys.exit(main())
