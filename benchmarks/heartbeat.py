"""How long a window's event loop stands still: a timer that should fire every few milliseconds, and the gaps in it."""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from qtpy.QtCore import Qt, QTimer

BEAT_MS = 5
#: A longer gap is one that a person notices.
LIMIT_MS = 100.0


@dataclass
class Gaps:
    """The gaps of one phase, in milliseconds.

    Attributes
    ----------
    longest, computed : float
        The longest gap, and for how much of it the GUI thread had a processor: the rest it waited, for a lock, a file
        or a core that other programs had.
    over_limit, beats : int
        How many gaps were longer than :data:`LIMIT_MS`, of how many.
    """

    longest: float = 0.0
    computed: float = 0.0
    over_limit: int = 0
    beats: int = 0

    def add(self, gap: float, computed: float) -> None:
        """Count one more gap."""
        self.beats += 1
        self.over_limit += gap > LIMIT_MS
        if gap > self.longest:
            self.longest, self.computed = gap, computed


@dataclass
class Heartbeat:
    """Beats in the GUI thread during phases that have a name.

    Parameters
    ----------
    show_stacks : bool
        Print where all threads are when a beat is late, which slows everything down a little.
    """

    show_stacks: bool = False
    phases: dict[str, Gaps] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._gaps = Gaps()
        self._last = self._last_cpu = 0.0
        self._timer = QTimer(interval=BEAT_MS, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """Beat while the block runs; phases of one name are one. They do not nest."""
        self._gaps = self.phases.setdefault(phase, Gaps())
        self._start_gap()
        self._timer.start()
        try:
            yield
        finally:
            self._beat()  # a gap may last until the end
            self._timer.stop()
            faulthandler.cancel_dump_traceback_later()

    def report(self) -> dict[str, Any]:
        """Return the gaps of each phase."""
        return {
            name: {
                "stall_ms": round(gaps.longest, 1),
                "computed_ms": round(gaps.computed, 1),
                "over_100_ms": gaps.over_limit,
                "beats": gaps.beats,
            }
            for name, gaps in self.phases.items()
        }

    def _beat(self) -> None:
        gap, computed = time.perf_counter() - self._last, time.thread_time() - self._last_cpu
        self._gaps.add(1e3 * gap, 1e3 * computed)
        self._start_gap()

    def _start_gap(self) -> None:
        self._last, self._last_cpu = time.perf_counter(), time.thread_time()
        if self.show_stacks:
            faulthandler.dump_traceback_later(LIMIT_MS / 1e3)
