"""Work that goes on in a thread of its own while its results are used."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from queue import Empty, Full, Queue
from typing import TypeVar

T = TypeVar("T")
#: A thread that waits looks so often whether it is still needed, in s.
LOOK_S = 0.1
#: A thread in the middle of its work is waited for so long at the end, in s.
LONGEST_END_S = 1.0


def ahead(items: Iterable[T], depth: int = 1) -> Generator[T, None, None]:
    """Yield ``items`` in their order, made in a thread that is at most ``depth`` + 1 of them ahead.

    An error of the thread is raised here, in its turn. Closing the generator ends the thread.
    """
    made: Queue[tuple[list[T], BaseException | None]] = Queue(depth)
    over = threading.Event()

    def put(found: list[T], error: BaseException | None = None) -> bool:
        while not over.is_set():
            with suppress(Full):
                made.put((found, error), timeout=LOOK_S)
                return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put([item]):
                    break
            else:
                put([])
        except BaseException as error:
            put([], error)
        if isinstance(items, Generator):
            items.close()

    thread = threading.Thread(target=work, name="naslora-ahead", daemon=True)
    thread.start()
    try:
        while True:
            with suppress(Empty):
                found, error = made.get(timeout=LOOK_S)
                if error is not None:
                    raise error
                if not found:
                    return
                yield found[0]
    finally:
        over.set()
        thread.join(LONGEST_END_S)


def grouped(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of ``size`` items, the last one maybe shorter."""
    stream = iter(items)
    while group := list(islice(stream, size)):
        yield group
