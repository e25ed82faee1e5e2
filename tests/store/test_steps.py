from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from naslora_napari.store.edits import painted
from naslora_napari.store.records import Annotation, ObjectInfo
from naslora_napari.store.steps import Step, StepFiles
from naslora_trainer.data import areas_in
from naslora_trainer.prompts import Prompts, Stroke

PLANES = arrays(np.int32, (5, 6), elements=st.integers(0, 2**31 - 1) | st.integers(0, 2))


def step(before: np.ndarray, after: np.ndarray) -> Step:
    areas = areas_in(before)
    old = Annotation(before, {key: ObjectInfo(2, "import", "m", "2026", "ä") for key in areas}, areas=areas)
    asked = Prompts(((1.5, 2.0),), (1,), (0.0, 0.0, 3.0, 3.0), strokes=(Stroke(((1.0, 1.0),)),))
    return Step("a", (Prompts(), asked), painted(old, "a", after, ObjectInfo(prompts=asked)))


def equal(one: Step, two: Step) -> bool:
    parts = [(*edit.where, edit.before, edit.after) for edit in (one.edit, two.edit)]
    same = all(np.array_equal(a, b) and b.dtype == np.int32 for a, b in zip(*parts, strict=True))
    return same and (one.image, one.prompts, one.edit.objects) == (two.image, two.prompts, two.edit.objects)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PLANES, PLANES)
def test_a_step_comes_back_bit_by_bit(tmp_path: Path, before: np.ndarray, after: np.ndarray) -> None:
    files, made = StepFiles(tmp_path / "history", ["a"]), step(before, after)
    path = files.write(made)
    assert path is not None
    found = files.read(path)
    assert found is not None and equal(made, found) and equal(made, found.reversed().reversed())


def test_steps_are_listed_in_their_order(tmp_path: Path) -> None:
    files = StepFiles(tmp_path / "history", ["a"])
    assert files.listed() == ([], [])
    made = step(np.zeros((5, 6), np.int32), np.ones((5, 6), np.int32))
    paths = [files.write(made) for _ in range(12)]
    paths[-1], paths[-2] = files.mark(paths[-1], False), files.mark(paths[-2], False)
    assert files.listed() == (paths[:-2], [paths[-1], paths[-2]])
    assert files.mark(paths[-2], True) == tmp_path / "history" / "00000011.done.h5"


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "foreign", "unsorted", "negative", "record", "link"])
def test_a_damaged_or_foreign_step_is_dropped_with_a_line_in_the_log(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = StepFiles(tmp_path / "history", ["a"])
    path = files.write(step(np.zeros((5, 6), np.int32), np.ones((5, 6), np.int32)))
    assert path is not None
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        path.write_bytes(bytes(byte ^ 1 for byte in content))
    elif damage == "text":
        path.write_text("no")
    elif damage == "foreign":
        files = StepFiles(tmp_path / "history", ["b"])
    else:
        with h5py.File(path, "a") as file:
            pixels, record = file["pixels"][()], file["record"][()]
            if damage == "unsorted":
                file["pixels"][()] = pixels[:, ::-1]
            elif damage == "negative":
                file["pixels"][()] = -pixels
            elif damage == "record":
                file["record"][()] = record[::-1]
            else:
                del file["pixels"]
                file["pixels"] = h5py.SoftLink("/record")
    with caplog.at_level(logging.WARNING):
        assert files.read(path) is None
    assert "dropped" in caplog.text


def test_a_folder_that_cannot_be_written_costs_only_the_history(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "history").write_text("in the way")
    files = StepFiles(tmp_path / "history", ["a"])
    assert files.listed() == ([], []) and files.write(step(*np.zeros((2, 5, 6), np.int32))) is None
    assert "could not be kept" in caplog.text
