"""How long the dock takes to open in a running napari, in a process of its own; prints one JSON document.

``dock_open_s`` is from the menu entry to the first paint of the dock, the imports of the plugin included;
``torch_imported`` says whether torch was in the process by then. After that the model is loaded in a thread, and
``stalls`` says how long the event loop stood still meanwhile. It needs a screen. Run::

    python benchmarks/dock_open.py
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

import napari
from qtpy.QtCore import QEvent, QEventLoop, QObject, QTimer

from heartbeat import Heartbeat

#: What napari does after its start is over then, in ms.
SETTLED_MS = 2000
POLL_MS = 4


class FirstPaint(QObject):
    """Notes when a widget was painted first, and whether torch was imported by then."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 0.0
        self.torch_imported = False

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Look at the events of the widget; the paint is done when the event loop turns again."""
        if event.type() == QEvent.Type.Paint and not self.at:
            QTimer.singleShot(0, self._painted)
        return False

    def _painted(self) -> None:
        if not self.at:
            self.at, self.torch_imported = time.perf_counter(), "torch" in sys.modules


def measure(show_stacks: bool) -> dict[str, Any]:
    """Open a window, then the dock in it."""
    viewer = napari.Viewer()
    _pause(SETTLED_MS)
    painted, beat = FirstPaint(), Heartbeat(show_stacks)
    started = time.perf_counter()
    with beat.during("open the dock"):
        _, dock = viewer.window.add_plugin_dock_widget("naslora-napari", "NAS-LoRA")
        dock.status.installEventFilter(painted)
        dock.status.update()
        _wait(lambda: painted.at > 0)
    with beat.during("load the model"):
        _wait(lambda: bool(dock.predictor.device))
        loaded = time.perf_counter()
    viewer.close()
    return {
        "dock_open_s": round(painted.at - started, 3),
        "torch_imported": painted.torch_imported,
        "model_ready_s": round(loaded - started, 3),
        "stalls": beat.report(),
    }


def _wait(happened: Callable[[], bool]) -> None:
    while not happened():
        _pause(POLL_MS)


def _pause(milliseconds: int) -> None:
    """As :func:`naslora_napari.demo.hands.pause`, whose import would bring the dock's modules too early."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def main() -> int:
    """Measure and print."""
    with redirect_stdout(sys.stderr):
        found = measure("--stacks" in sys.argv[1:])
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
