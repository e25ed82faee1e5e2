"""What trains never judges, and both are the same for every benchmark."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import imageio.v3 as iio
import numpy as np
import pytest

from naslora_trainer.errors import UserError

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def packs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("packs")


@pytest.mark.parametrize("target", ["nuclei", "lesions", "leaf", "vessels"])
def test_eight_images_train_and_none_of_them_is_held_out(packs: ModuleType, target: str) -> None:
    there = set(range(packs.TARGETS[target].images))
    sets = [set(packs.labelled(target, seed)) for seed in (0, 1, 2)]
    assert all(len(chosen) == 8 and chosen <= there - set(packs.held_out(target)) for chosen in sets)
    assert len(set(map(frozenset, sets))) == 3 and set(packs.held_out(target)) < there
    for seed, chosen in enumerate(sets):
        assert set(packs.free(target, seed)) == there - chosen - set(packs.held_out(target))
    with pytest.raises(IndexError):
        packs.labelled(target, 3)


def test_a_number_that_cannot_be_used_goes_to_the_nearest_free_one(packs: ModuleType) -> None:
    assert packs.labelled("nuclei", 1)[-2:] == (29, 35)  # 34 is held out
    assert packs.labelled("nuclei", 2)[-2:] == (31, 35)  # there is no 36
    assert packs.labelled("leaf", 2)[-2:] == (27, 29)  # there is no 31


def test_a_pack_is_read_in_order(packs: ModuleType, tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / "chasedb1_vessels" / folder).mkdir(parents=True)
    for number in (3, 1, 2):
        image = np.full((8, 9), number, np.uint8)
        iio.imwrite(tmp_path / "chasedb1_vessels" / "images" / f"{number:03d}.png", image)
        iio.imwrite(tmp_path / "chasedb1_vessels" / "masks" / f"{number:03d}.png", image.astype(np.uint16))
    found = packs.read_pack(tmp_path, "vessels", (1, 3))
    assert [image.name for image in found] == ["chasedb1_vessels/masks/001", "chasedb1_vessels/masks/003"]
    assert found[1].complete and found[1].image.shape == (8, 9, 3) and (found[1].labels == 3).all()
    assert len(packs.read_pack(tmp_path, "vessels")) == 3
    with pytest.raises(UserError, match="dsb2018_nuclei"):
        packs.read_pack(tmp_path, "nuclei")
