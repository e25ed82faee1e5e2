"""A person at work in the window: clicks, changes of the image, a training, a batch, swaps, and what they take."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from segment_anything import SamPredictor

from heartbeat import Heartbeat
from naslora_napari._qt import driving
from naslora_napari._qt.canvas import IMAGE
from naslora_napari._qt.dock import NasLoraDock
from naslora_napari.demo.hands import Hands, pause
from naslora_napari.demo.material import Material
from naslora_napari.demo.measure import MIB, percentiles
from naslora_napari.jobs.commands import THREAD_VARIABLES
from naslora_trainer.errors import UserError
from naslora_trainer.prompts import Prompts, deepest_point

TRAINING_S, BATCH_S = 3600.0, 3600.0
#: Clicks in a row while the training runs, and then while it is held.
BLOCK = 5
#: A training is watched for so long to see how many cores it takes, in ms.
WATCHED_MS = 2000
#: A session warms up in its first tenth; memory is compared between the second tenth and the last.
PARTS = 10


class Annotator:
    """Works in the window on the sample tiles.

    Parameters
    ----------
    hands : Hands
        At the window.
    beat : Heartbeat
        Watches the event loop meanwhile.
    material : Material
        The project and the folder for the batch.
    """

    def __init__(self, hands: Hands, beat: Heartbeat, material: Material) -> None:
        self.hands, self.beat, self.material = hands, beat, material
        self.dock: NasLoraDock = hands.dock
        outlines = material.unseen_outlines
        self._places = cycle([deepest_point(outlines == key) for key in np.unique(outlines) if key])
        self._ready = self._frames = 0
        self.dock.imageReady.connect(self._on_ready)
        driving.canvas_widget(hands.viewer).frameSwapped.connect(self._on_frame)  # type: ignore[attr-defined]

    def open(self) -> None:
        """Open the project, and go to its last image, on which there are no objects.

        A hand takes longer to choose a folder than the dock to load the model, which begins when the dock is seen.
        """
        with self.beat.during("load the model"):
            self.hands.wait(lambda: bool(self.dock.predictor.device), "the model")
        self._open_image("open the project", self._choose_project)
        self._to_last_image()

    def pairs(self, count: int, still_ms: int | None = None) -> dict[str, Any]:
        """Click, and ask the bare model the same, in turns; the mouse jumps, or comes as a hand and then rests."""
        bare = _Bare(self.dock)
        handed, drawn, calls, same = [], [], [], 0
        for _ in range(count):
            _, took = self.hands.timed_click(next(self._places), still_ms=still_ms)  # no heart beats: they take time
            handed.append(took.handed)
            drawn.append(took.drawn)
            seconds, mask = bare.ask(self._session.prompts)
            calls.append(1e3 * seconds)
            shown = self.hands.shown()
            same += shown is not None and np.array_equal(shown.mask, mask)
            self.hands.key(Qt.Key.Key_Escape)
        real, data, wanted = percentiles(drawn), percentiles(handed), percentiles(calls)
        told = {
            "count": count,
            "still_ms": still_ms,
            "same_masks": same,
            "click_ms": real,
            "handed_ms": data,
            "bare_ms": wanted,
        }
        return {**_ratios(real, wanted), "no_draw_ratio_p50": _ratios(data, wanted)["ratio_p50"], **told}

    def change_images(self, count: int) -> dict[str, Any]:
        """Go back and forth through the images with the keys."""
        images = self.dock.open_panel.list.model.names
        shown, ready = [], []
        key = Qt.Key.Key_PageUp
        for _ in range(count):
            if self._session.name in (images[0], images[-1]):
                key = Qt.Key.Key_PageDown if self._session.name == images[0] else Qt.Key.Key_PageUp
            times = self._open_image("change the image", partial(driving.press, self.hands.viewer, key))
            shown.append(times[0])
            ready.append(times[1])
        self._to_last_image()
        return {"count": count, "shown_ms": percentiles(shown), "ready_ms": percentiles(ready)}

    def train(self, clicks: int) -> dict[str, Any]:
        """Press the button and click meanwhile; the training is held for every other block of clicks."""
        panel, training = self.dock.train_panel, self.dock.training
        ended: list[dict[str, Any]] = []
        self.dock.trained.connect(ended.append)
        with self.beat.during("train"):
            self.hands.press(panel.start_button)
            self.hands.wait(lambda: bool(panel.curve.points["loss"]) or bool(ended), "the first step", TRAINING_S)
            child = _Child(training.process_id)
            cores = child.cores()
        found: dict[bool, list[float]] = {False: [], True: []}
        for k in range(clicks):
            if ended:
                break
            held = k // BLOCK % 2 == 0
            with child.held(held):
                found[held].append(self._click("train"))
            self.hands.key(Qt.Key.Key_Escape)
        with self.beat.during("train"):
            self.hands.wait(lambda: bool(ended), "the end of the training", TRAINING_S)
        if ended[0].get("status") != "done" or not all(found.values()):
            raise UserError("The training ended too early.", self.hands.complaint())
        running, held_ms = percentiles(found[False]), percentiles(found[True])
        counts = {"count": len(found[False]), "count_held": len(found[True])}
        return {
            **_ratios(running, held_ms),
            **counts,
            "click_ms": running,
            "held_ms": held_ms,
            **child.limits,
            "cores_used": cores,
        }

    def batch(self) -> None:
        """Segment the folder."""
        ended: list[dict[str, Any]] = []
        self.dock.batchFinished.connect(ended.append)
        with self.beat.during("batch"):
            self.hands.choose_folder(self.dock.batch_panel.run_button, self.material.batch)
            self.hands.wait(lambda: bool(ended), "the end of the batch", BATCH_S)
        if ended[0].get("event") != "result" or ended[0].get("failed"):
            raise UserError("The folder could not be segmented.", self.hands.complaint())

    def session(self, clicks: int, accepts: int, swaps: int) -> dict[str, Any]:
        """Click, accept (and delete, so that there is room for the next object), and swap; watch the memory."""
        assert self.dock.project is not None
        adapter = self.dock.project.adapters()[0]
        process, memory = psutil.Process(), []
        done = {"clicks": clicks, "accepts": 0, "swaps": 0}
        for k in range(clicks):
            self._click("click")
            if _due(k, clicks, accepts):
                done["accepts"] += self._accept()
            self.hands.key(Qt.Key.Key_Escape)
            if _due(k, clicks, swaps):
                self._swap(adapter)
                done["swaps"] += 1
            memory.append(process.memory_info().rss / MIB)
        part = max(1, len(memory) // PARTS)
        first, last = statistics.median(memory[part : 2 * part] or memory), statistics.median(memory[-part:])
        return {**done, "growth": round(last / first - 1, 4), "first_mb": round(first), "last_mb": round(last)}

    @property
    def _session(self) -> Any:
        assert self.dock.session is not None
        return self.dock.session

    def _on_ready(self, name: str) -> None:
        self._ready += 1

    def _on_frame(self) -> None:
        self._frames += 1

    def _choose_project(self) -> None:
        self.hands.choose_folder(self.dock.open_panel.project_button, self.material.project)

    def _to_last_image(self) -> None:
        panel = self.dock.open_panel
        if not panel.list_button.isChecked():
            self.hands.press(panel.list_button)
        if self._session.name != panel.list.model.names[-1]:
            self._open_image("change the image", lambda: QTest.keyClick(panel.list.view, Qt.Key.Key_End))

    def _open_image(self, phase: str, act: Callable[[], object]) -> tuple[float, float]:
        """Do what opens an image; return the milliseconds until it was on the screen, and until it was encoded."""
        ready, before = self._ready, self._shown_image()
        started = time.perf_counter()
        with self.beat.during(phase):
            act()
            self.hands.wait(lambda: self._shown_image() != before and not self.dock.canvas.building, "the image")
            frames = self._frames
            self.hands.wait(lambda: self._frames > frames, "a picture of it")
        shown = time.perf_counter()
        with self.beat.during("encode"):
            self.hands.wait(lambda: self._ready > ready, "the encoded image")
        encoded = time.perf_counter()
        self.hands.rest()
        return 1e3 * (shown - started), 1e3 * (encoded - started)

    def _shown_image(self) -> str:
        """Return the name of the image on the screen."""
        layers = self.dock.canvas.layers
        return str(layers[IMAGE].name) if IMAGE in layers else ""

    def _click(self, phase: str) -> float:
        """Click on the next nucleus and return the milliseconds until its mask was on the screen."""
        with self.beat.during(phase):
            return self.hands.timed_click(next(self._places))[1].drawn

    def _accept(self) -> bool:
        """Accept the mask, delete the object again; return whether there was one."""
        before = len(self._session.objects)
        with self.beat.during("accept"):
            self.hands.key(Qt.Key.Key_A)
        accepted = len(self._session.objects) > before
        with self.beat.during("delete"):
            self.hands.key(Qt.Key.Key_X)
        return accepted

    def _swap(self, adapter: Path) -> None:
        """Put the trained model in place, as the end of a training does."""
        ended: list[dict[str, Any]] = []
        self.dock.trained.connect(ended.append)
        with self.beat.during("swap"):
            self.dock.training._swap(adapter, {"event": "result", "reason": "It is put in place once more."})
            self.hands.wait(lambda: bool(ended), "the swap")
        self.dock.trained.disconnect(ended.append)


class _Bare:
    """The model of the window without the window."""

    def __init__(self, dock: NasLoraDock) -> None:
        assert dock.project is not None and dock.session is not None
        self._predictor = SamPredictor(dock.predictor.model)
        self._predictor.set_image(dock.project.picture(dock.session.name).whole())
        self._multimask = "multimask" in dock.predictor.learned

    def ask(self, prompts: Prompts) -> tuple[float, np.ndarray]:
        """Return the seconds of the call, and the best mask."""
        xy, labels = np.array(prompts.points, np.float32)[:, ::-1] + 0.5, np.array(prompts.labels)
        gc.disable()
        started = time.perf_counter()
        masks, scores, _ = self._predictor.predict(xy, labels, multimask_output=self._multimask)
        seconds = time.perf_counter() - started
        gc.enable()
        return seconds, masks[scores.argmax()]


class _Child:
    """A training process, seen from outside."""

    def __init__(self, process_id: int | None) -> None:
        self._process = psutil.Process(process_id)
        with self._process.oneshot():
            environment = self._process.environ()
            self.limits = {
                "niceness": self._process.nice() - psutil.Process().nice(),
                "threads_allowed": int(environment[THREAD_VARIABLES[0]]),
                "cores": os.cpu_count(),
            }

    def cores(self) -> float:
        """Return how many cores it keeps busy."""
        before, started = self._process.cpu_times(), time.perf_counter()
        pause(WATCHED_MS)
        after = self._process.cpu_times()
        used = after.user + after.system - before.user - before.system
        return round(used / (time.perf_counter() - started), 2)

    @contextmanager
    def held(self, hold: bool) -> Iterator[None]:
        """Let it stand still during the block, if ``hold``."""
        if hold:
            self._process.suspend()
        try:
            yield
        finally:
            self._process.resume()


def _ratios(many: dict[str, float], few: dict[str, float]) -> dict[str, float]:
    return {f"ratio_{key}": round(many[key] / few[key], 3) for key in ("p50", "p95")}


def _due(k: int, of: int, count: int) -> bool:
    """Return whether the ``k``-th of so many turns is one of ``count`` that are spread evenly."""
    return (k + 1) * count // of > k * count // of
