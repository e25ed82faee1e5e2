from __future__ import annotations

from pathlib import Path

import torch

from naslora_trainer.cache import PrefixCache


class Counted:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> torch.Tensor:
        self.calls += 1
        return torch.full((256,), float(self.calls))


def test_it_computes_once_and_stays_within_its_bytes(tmp_path: Path) -> None:
    cache, compute = PrefixCache(2 * 1024, tmp_path), Counted()
    for key in ("a", "b", "c", "d"):
        cache.get(key, compute)
    assert cache.bytes == 2048 and sorted(p.stem for p in tmp_path.iterdir()) == ["c", "d"]
    values = [float(cache.get(key, compute)[0]) for key in ("a", "b", "c", "d")]
    assert values == [1, 2, 3, 4] and compute.calls == 4


def test_a_later_training_finds_the_files(tmp_path: Path) -> None:
    compute = Counted()
    PrefixCache(0, tmp_path).get("a", compute)
    assert float(PrefixCache(0, tmp_path).get("a", compute)[0]) == 1 and compute.calls == 1


def test_without_a_folder_it_computes_again() -> None:
    cache, compute = PrefixCache(0), Counted()
    cache.get("a", compute)
    cache.get("a", compute)
    assert compute.calls == 2 and cache.bytes == 0


def test_a_damaged_or_unwritable_file_costs_only_time(tmp_path: Path) -> None:
    compute = Counted()
    PrefixCache(0, tmp_path).get("a", compute)
    (tmp_path / "a.safetensors").write_bytes(b"nonsense")
    assert float(PrefixCache(0, tmp_path).get("a", compute)[0]) == 2
    (tmp_path / "file").write_text("not a folder")
    assert float(PrefixCache(0, tmp_path / "file").get("a", compute)[0]) == 3
