"""The demo from the first click to the report."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naslora_trainer.errors import UserError

from .pictures import overview
from .report import KEYS, Step, write_failure, write_report
from .screen import screen

if TYPE_CHECKING:
    from napari import Viewer

    from .driver import Loop

REST_S = 0.8
WINDOW = (1640, 1020)
OVERVIEW = "loop.png"


def run_demo(
    headless: bool = False, out: Path = Path("demo-out"), tell: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Go through the whole loop on the sample images, in the real window, with a real mouse.

    Parameters
    ----------
    headless : bool
        Close the window at the end; without a screen, use a virtual one. Otherwise the window stays open for the
        person, and this returns when they close it.
    out : Path
        Folder for the pictures, ``report.json`` and ``report.html``.
    tell : callable, optional
        Gets a sentence at every step; by default it goes to the error stream.

    Returns
    -------
    dict
        What is in ``report.json``.

    Raises
    ------
    UserError
        A step failed; ``report.html`` shows how far it came.
    """
    out = Path(out).resolve()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}.", "Choose another folder.") from error
    with screen(headless):
        return _in_window(headless, out, tell or _to_stderr())


def _in_window(headless: bool, out: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    import napari
    from qtpy.QtCore import QCoreApplication, Qt

    from .driver import LEFT_OPEN, Loop
    from .hands import Hands
    from .material import prepare

    material = prepare(out, LEFT_OPEN)
    QCoreApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)  # so that it can fill them in
    tell("Opening the window…")
    viewer = napari.Viewer(title="NAS-LoRA demo")
    steps: list[Step] = []
    try:
        viewer.window.resize(*WINDOW)
        _, dock = viewer.window.add_plugin_dock_widget("naslora-napari", "NAS-LoRA")
        hands = Hands(viewer, dock, 0.0 if headless else REST_S)
        loop = Loop(hands, material, out, tell)
        steps = loop.steps
        figures = _work(loop)
    except Exception as error:
        sentence = _sentence(error)
        with suppress(Exception):
            viewer.screenshot(str(out / "failed.png"), canvas_only=False, flash=False)
            steps = [*steps, Step("Here it stopped", str(sentence), "failed.png")]
        write_failure(out, str(sentence), steps)
        viewer.close()
        raise sentence from error
    tell(f"Done. The report is {out / 'report.html'}")
    _end(viewer, headless, tell)
    return figures


def _work(loop: Loop) -> dict[str, Any]:
    loop.open()
    loop.annotate()
    loop.show_unseen()
    loop.time_clicks("idle")
    loop.train()
    loop.time_clicks("after")
    loop.compare()
    found = loop.batch()
    figures = _figures(loop, found)
    overview(loop.out / OVERVIEW, loop.tiles)
    write_report(loop.out, figures, loop.steps, OVERVIEW)
    return figures


def _figures(loop: Loop, found: int) -> dict[str, Any]:
    """Measure what is left to measure, and gather everything."""
    from . import measure
    from .driver import LEFT_OPEN

    loop.tell("Measuring both models on all unseen images…")
    adapter, project = loop.dock.predictor.adapter, loop.dock.project
    if adapter is None or project is None:
        raise UserError("The fine-tuned model is not the one in use at the end.")
    with ThreadPoolExecutor(1) as pool:  # the window stays alive meanwhile
        measuring = pool.submit(measure.held_out_dice, adapter, measure.sample_images("held_out"))
        loop.hands.wait(measuring.done, "the measurement", 1800)
    held_out = measuring.result()
    times = {when: clicks.milliseconds for when, clicks in loop.clicks.items()}
    figures = {
        "held_out": {kind: held_out[kind] for kind in ("click", "box")},
        "latency_ms": {when: measure.percentiles(values) for when, values in times.items()},
        "first_step_s": round(loop.first_step_s, 2),
        "train_s": loop.result["train_s"],
        "peak_mb": loop.result["peak_mb"],
        "swap_ms": round(loop.swap_ms, 1),
        "swap_gap_ms": round(loop.swap_gap_ms, 4),
        "objects": {
            "labelled": project.summary().objects,
            "drawn": len(LEFT_OPEN),
            "held_out": held_out["objects"],
            "batch": found,
        },
        "clicks": {when: len(values) for when, values in times.items()},
        "machine": measure.machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": measure.versions(),
    }
    return {key: figures[key] for key in KEYS}


def _end(viewer: Viewer, headless: bool, tell: Callable[[str], None]) -> None:
    if headless:
        viewer.close()
        return
    import napari

    tell("The window stays open: go on clicking, or close it to end.")
    napari.run()


def _sentence(error: Exception) -> UserError:
    if isinstance(error, UserError):
        return error
    return UserError(f"Something unexpected went wrong in the demo: {type(error).__name__}: {error}.")


def _to_stderr() -> Callable[[str], None]:
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    return lambda sentence: console.print(sentence, markup=False)
