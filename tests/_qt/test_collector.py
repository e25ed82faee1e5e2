"""The collector of cycles, while the model is loaded and after."""

from __future__ import annotations

import gc

import pytest

from naslora_napari._qt.collector import collect_again, load_uncollected


def test_nothing_is_collected_while_it_loads_nor_looked_at_after() -> None:
    seen: list[bool] = []
    gc.unfreeze()
    load_uncollected(lambda: seen.append(gc.isenabled()))
    assert seen == [False] and gc.isenabled() and gc.get_freeze_count() > 0
    collect_again()
    assert gc.get_freeze_count() == 0


def test_what_cannot_be_loaded_leaves_it_on() -> None:
    def fail() -> None:
        raise OSError("the disk")

    with pytest.raises(OSError, match="the disk"):
        load_uncollected(fail)
    assert gc.isenabled()
    collect_again()
