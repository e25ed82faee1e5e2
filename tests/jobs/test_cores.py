"""Which cores the model in the window computes on."""

from __future__ import annotations

import threading

import pytest
import torch

from naslora_napari.jobs import cores
from naslora_napari.jobs.cores import Cores, live_cores


@pytest.mark.parametrize(("there", "live"), [(1, 1), (2, 1), (4, 1), (8, 2), (64, 16)])
def test_one_core_of_four_stays_for_the_window(monkeypatch: pytest.MonkeyPatch, there: int, live: int) -> None:
    monkeypatch.setattr(cores, "cores", lambda: there)
    assert live_cores() == live


def test_a_thread_computes_on_its_part_while_another_process_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "cores", lambda: 8)
    found: list[int] = []

    def work() -> None:  # in a thread of its own, as in the window: torch's setting is that of the thread
        torch.set_num_threads(5)
        sharing = Cores()
        for beside in (False, True, True, False):
            sharing.share(beside)
            found.append(torch.get_num_threads())
        torch.set_num_threads(1)
        sharing = Cores()
        sharing.share(True)
        found.append(torch.get_num_threads())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [5, 2, 2, 5, 1]
