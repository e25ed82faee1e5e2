from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from naslora_napari.live.history import Change, History, State
from naslora_napari.store.records import ObjectInfo
from naslora_trainer.prompts import Prompts

PLANES = arrays(np.int32, (4, 5), elements=st.integers(0, 3))


def state(labels: np.ndarray, class_id: int) -> State:
    objects = {int(i): ObjectInfo(class_id) for i in np.unique(labels) if i}
    return State(labels, objects, Prompts(((float(class_id), 0.0),), (1,)))


def same(a: State, b: State) -> bool:
    return np.array_equal(a.labels, b.labels) and dict(a.objects) == dict(b.objects) and a.prompts == b.prompts


@given(PLANES, PLANES, st.integers(1, 2), st.integers(1, 2))
def test_a_change_leads_there_and_back(before: np.ndarray, after: np.ndarray, one: int, two: int) -> None:
    old, new = state(before, one), state(after, two)
    change = Change.between("a", old, new)
    assert same(change.applied(old), new) and same(change.reversed().applied(new), old)
    differs = {int(i) for i in np.union1d(before[before != after], after[before != after]) if i}
    assert differs <= set(change.ids)


def test_the_oldest_steps_are_forgotten_when_memory_is_full() -> None:
    full = [State(np.full((100, 100), i, np.int32), {}, Prompts()) for i in range(6)]
    steps = [Change.between(str(i), full[i], full[i + 1]) for i in range(5)]
    history = History(limit=3 * steps[0].nbytes)
    for step in steps:
        history.add(step)
    for image in "432":
        assert history.to_undo is not None and history.to_undo.image == image
        history.undone()
    assert history.to_undo is None and history.to_redo is steps[2]
    history.add(steps[0])
    assert history.to_redo is None and history.to_undo is steps[0]
