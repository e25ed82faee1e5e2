"""Work in pieces: the window answers in between, and what stops it stops all of it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from qtpy.QtCore import QObject, QTimer

from naslora_napari._qt.in_turns import InTurns

PIECE_S, PIECES = 0.03, 5


@pytest.fixture
def turns(qtbot) -> Iterator[InTurns]:
    owner = QObject()
    yield InTurns(owner)
    owner.deleteLater()


def test_other_timers_have_their_turn_before_each_piece(qtbot, turns):
    seen: list[str] = []
    timer = QTimer()
    timer.timeout.connect(lambda: seen.append("other"))
    timer.start(1)

    def pieces() -> Iterator[None]:
        for _ in range(PIECES):
            seen.append("piece")
            time.sleep(PIECE_S)
            yield

    turns.run(pieces(), lambda: seen.append("end"), pause_ms=5)
    qtbot.waitUntil(lambda: "end" in seen)
    timer.stop()
    told = [what for what in seen if what != "other"]
    assert told == ["piece"] * PIECES + ["end"]
    for first, second in zip(seen, seen[1:], strict=False):
        assert "other" in (first, second)


def test_nothing_comes_after_a_stop_in_a_piece(qtbot, turns):
    seen: list[str] = []

    def pieces() -> Iterator[None]:
        seen.append("first")
        turns.stop()
        yield
        seen.append("second")

    turns.run(pieces(), lambda: seen.append("end"))
    qtbot.waitUntil(lambda: seen == ["first"])
    qtbot.wait(50)
    assert seen == ["first"]
    assert not turns.running


def test_another_run_takes_the_place_of_the_one_before(qtbot, turns):
    seen: list[int] = []

    def pieces(start: int) -> Iterator[None]:
        for k in range(start, start + 3):
            seen.append(k)
            yield

    turns.run(pieces(0), lambda: seen.append(-1), pause_ms=200)
    qtbot.waitUntil(lambda: seen == [0])
    turns.run(pieces(10), lambda: seen.append(-2))
    qtbot.waitUntil(lambda: not turns.running)
    assert seen == [0, 10, 11, 12, -2]


def test_a_piece_that_fails_is_the_last_one(qtbot, turns):
    def pieces() -> Iterator[None]:
        yield
        raise ValueError("a piece that fails")

    with qtbot.captureExceptions() as caught:
        turns.run(pieces(), lambda: pytest.fail("there is no end"))
        qtbot.waitUntil(lambda: not turns.running)
    assert [str(error) for _, error, _ in caught] == ["a piece that fails"]
