"""Who computes on which cores: the model in the window, or a training and a folder run beside it."""

from __future__ import annotations

import os
import sys
from typing import Any


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def live_cores() -> int:
    """Return how many cores stay for the model in the window while another process computes: one of four."""
    return max(1, cores() // 4)


class Cores:
    """How many threads the model in the window computes with.

    Threads that compute together wait for each other, so that one thread without a core holds up all of them: with as
    many threads as cores beside a training at low priority a click took nine times as long (two cores, Linux 6.18).
    """

    def __init__(self) -> None:
        self._usual = 0

    def share(self, beside: bool) -> None:
        """Let the thread that calls this compute on its part of the cores, or on all of them as before.

        Parameters
        ----------
        beside : bool
            Whether another process of the program computes on this computer.
        """
        torch: Any = sys.modules.get("torch")
        if torch is None:
            return
        self._usual = self._usual or torch.get_num_threads()
        wanted = min(self._usual, live_cores()) if beside else self._usual
        if torch.get_num_threads() != wanted:
            torch.set_num_threads(wanted)
