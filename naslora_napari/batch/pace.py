"""How fast a folder goes, and when images may begin."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
#: Whether to stop and to pause is asked so often, in s.
LOOK_S = 0.1


class Gate:
    """Lets images through one by one: none while the run is paused, and none once it is stopped.

    Parameters
    ----------
    should_stop, is_paused : callable
        Asked before each image, from any thread.
    """

    def __init__(self, should_stop: Callable[[], bool], is_paused: Callable[[], bool]) -> None:
        self.should_stop, self._is_paused = should_stop, is_paused
        #: How long it was paused, in s.
        self.paused_s = 0.0

    def let_through(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items that may be begun."""
        for item in items:
            begin = time.monotonic()
            while self._is_paused() and not self.should_stop():
                time.sleep(LOOK_S)
                now = time.monotonic()
                self.paused_s, begin = self.paused_s + now - begin, now
            if self.should_stop():
                return
            yield item


class Pace:
    """How fast it goes: images of this run only, without pauses.

    Parameters
    ----------
    images, done : int
        How many there are, and were done before.
    gate : Gate
        Knows the pauses.
    """

    def __init__(self, images: int, done: int, gate: Gate) -> None:
        self.images, self.done, self._before, self._gate = images, done, done, gate
        self._begin = time.monotonic()

    def event(self, name: str, objects: int) -> dict[str, Any]:
        """Return the event for one more image; ``per_minute`` is the rate, ``eta_s`` the time left."""
        self.done += 1
        worked = max(1e-6, time.monotonic() - self._begin - self._gate.paused_s)
        per_s = (self.done - self._before) / worked
        return {
            "event": "progress",
            "step": self.done,
            "steps": self.images,
            "name": name,
            "objects": objects,
            "per_minute": 60 * per_s,
            "eta_s": (self.images - self.done) / per_s,
        }


def pace_text(event: dict[str, Any]) -> str:
    """Return rate and time left of a progress event for people; empty where it does not tell."""
    rate, left = event.get("per_minute"), event.get("eta_s")
    if not isinstance(rate, int | float) or not isinstance(left, int | float):
        return ""
    rate_text = f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"
    minutes, seconds = divmod(round(left), 60)
    hours, minutes = divmod(minutes, 60)
    left_text = f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{seconds} s"
    return f"{rate_text} images/min, {left_text} left"
