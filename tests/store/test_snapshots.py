from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from naslora_napari.store import ObjectInfo, Project
from naslora_napari.store.edits import with_class
from naslora_napari.store.snapshots import _within
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import boxes_in, read_snapshot
from naslora_trainer.prompts import Prompts, Stroke
from naslora_trainer.regions import WHOLE_UP_TO, Region, regions_around

SIDE = 2000


def large_project(folder: Path) -> tuple[Project, np.ndarray]:
    """Four bright squares of 30 pixels on dark ground, two of them close to each other."""
    labels = np.zeros((SIDE, SIDE), np.int32)
    for key, (row, col) in enumerate([(10, 10), (60, 70), (1500, 900), (1960, 1960)], 1):
        labels[row : row + 30, col : col + 30] = key
    tifffile.imwrite(folder / "large.tif", np.where(labels, 200, 20).astype(np.uint8))
    project = Project.create(folder / "large", [folder / "large.tif"])
    for key in range(1, 5):
        project.add_object("large", labels == key, ObjectInfo())
    return project, labels


def test_of_a_large_image_the_parts_around_its_objects_are_trained_on(tmp_path: Path) -> None:
    project, labels = large_project(tmp_path)
    images = read_snapshot(project.new_run(FineTuneConfig(steps=9)) / "data.h5")
    assert {image.source for image in images} == {"large"} and len({image.name for image in images}) == len(images) == 3
    for image in images:
        assert max(image.labels.shape) == 256
        assert np.array_equal(image.image[..., 0] == 200, image.labels > 0)
    kept = {key for image in images for key in np.unique(image.labels) if (image.labels == key).sum() == 900}
    assert kept == {1, 2, 3, 4}


def test_a_large_part_says_how_far_it_is_reduced(tmp_path: Path) -> None:
    mask = np.zeros((3000, 3000), bool)
    mask[1000:1300, 1100:1400] = True
    tifffile.imwrite(tmp_path / "large.tif", mask * np.uint8(200))
    project = Project.create(tmp_path / "large", [tmp_path / "large.tif"])
    project.add_object("large", mask, ObjectInfo())
    (image,) = read_snapshot(project.new_run(FineTuneConfig(steps=9)) / "data.h5")
    assert image.step > 1 and image.side == image.step * max(image.labels.shape) <= 3000
    assert (image.labels > 0).sum() * image.step**2 == pytest.approx(mask.sum(), rel=0.02)


def test_an_image_that_the_model_sees_whole_stays_whole(tmp_path: Path) -> None:
    project, labels = large_project(tmp_path)
    (image,) = project.snapshot(SIDE // WHOLE_UP_TO)
    assert np.array_equal(image.labels, labels) and (image.name, image.source) == ("large", "")


def test_planes_of_a_stack_have_one_source(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((3, 40, 40), np.uint8), imagej=True, metadata={"axes": "ZYX"})
    project = Project.create(tmp_path / "stack", [tmp_path / "stack.tif"])
    mask = np.zeros((40, 40), bool)
    mask[5:20, 5:20] = True
    for image in project.images:
        project.add_object(image.name, mask, ObjectInfo())
    found = project.snapshot(256)
    assert len(found) == 3 and len({image.source or image.name for image in found}) == 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2999), st.integers(0, 3999), st.integers(1, 600)), min_size=1, max_size=12))
def test_each_object_is_inside_a_region(corners: list[tuple[int, int, int]]) -> None:
    shape = (3000, 4000)
    boxes = [(float(r), float(c), float(min(r + n, 3000)), float(min(c + n, 4000))) for r, c, n in corners]
    regions = regions_around(shape, boxes, 256)
    assert all(any(region.holds(box, shape) for region in regions) for box in boxes)
    assert len(regions) <= len(boxes)


def test_boxes_are_those_of_the_objects() -> None:
    labels = np.zeros((9, 12), np.int32)
    labels[2:4, 3:8], labels[5, 1], labels[8, 11] = 7, 2_000_000_000, 2_000_000_000
    assert boxes_in(labels) == {7: (2, 3, 4, 8), 2_000_000_000: (5, 1, 9, 12)}
    assert boxes_in(np.zeros((3, 3), np.int32)) == {}


def test_regions_of_interest_of_parts_cover_the_same_pixels(tmp_path: Path) -> None:
    project, labels = large_project(tmp_path)
    roi = (20, 30, 1700, 1000)
    project.mark("large", rois=[roi])
    for image in project.snapshot(256):
        row0, col0 = (int(number) for number in image.name.split(" at ")[1].split(", "))
        inside = np.zeros(labels.shape, bool)
        inside[roi[0] : roi[2], roi[1] : roi[3]] = True
        assert np.array_equal(image.known, inside[row0 : row0 + 256, col0 : col0 + 256])


def test_clicks_on_the_background_say_that_nothing_is_there(tmp_path: Path) -> None:
    """But not on the object itself, on another one, or on one that waits for a person; nor those of one that waits."""
    tifffile.imwrite(tmp_path / "small.tif", np.zeros((200, 300), np.uint8))
    project = Project.create(tmp_path / "small", [tmp_path / "small.tif"])
    masks = np.zeros((3, 200, 300), bool)
    for mask, col in zip(masks, (10, 60, 110), strict=True):
        mask[20:40, col : col + 20] = True
    clicks = Prompts(
        ((30.0, 20.0), (30.0, 32.0), (30.0, 70.0), (30.0, 120.0), (150.0, 20.0), (900.0, -5.0)), (1, *[0] * 5)
    )
    along = Prompts(
        ((30.0, 70.0),), (1,), strokes=(Stroke(((190.0, 200.0), (190.0, 240.0)), 0), Stroke(((0.0, 0.0),), 1))
    )
    project.add_object("small", masks[0], ObjectInfo(prompts=clicks))
    project.add_object("small", masks[1], ObjectInfo(prompts=along))
    project.add_object("small", masks[2], ObjectInfo(source="automatic", prompts=Prompts(((100.0, 100.0),), (0,))))
    (image,) = read_snapshot(project.new_run(FineTuneConfig(steps=9)) / "data.h5")
    assert image.nothing is not None and not image.nothing[masks.any(axis=0)].any()
    rows, cols = np.nonzero(image.nothing)
    told = np.array([(30, 32), (150, 20), *((190, col) for col in range(200, 241, 10))])
    away = np.hypot(rows[:, None] - told[:, 0], cols[:, None] - told[:, 1])
    assert (away.min(axis=1) <= 3).all() and (away.min(axis=0) == 0).all()
    assert image.nothing[30, 30:36].all() and not image.nothing[30, 29]  # cut off at the edge of the object


def test_clicks_on_the_background_of_a_large_image_are_in_its_parts(tmp_path: Path) -> None:
    project, labels = large_project(tmp_path)
    fifth = np.zeros_like(labels, bool)
    fifth[100:120, 100:120] = True
    project.add_object("large", fifth, ObjectInfo(prompts=Prompts(((110.0, 110.0), (140.0, 150.0)), (1, 0))))
    for image in project.snapshot(256):
        place = np.array([int(number) for number in image.name.split(" at ")[1].split(", ")])
        if (place == 0).all():
            assert image.nothing is not None
            assert np.argwhere(image.nothing).mean(axis=0) == pytest.approx([140, 150])
        else:
            assert image.nothing is None


@settings(max_examples=100, deadline=None)
@given(st.tuples(*(st.integers(0, 60),) * 4), st.tuples(*(st.integers(0, 40),) * 2), st.sampled_from([1, 2, 4]))
def test_of_a_region_of_interest_the_pixels_that_are_seen_count(
    corners: tuple[int, int, int, int], start: tuple[int, int], step: int
) -> None:
    row0, col0, height, width = corners
    roi = (row0, col0, row0 + height + 1, col0 + width + 1)
    whole = np.zeros((200, 200), bool)
    whole[roi[0] : roi[2], roi[1] : roi[3]] = True
    seen = whole[start[0] : start[0] + 50 : step, start[1] : start[1] + 50 : step]
    part = _within(roi, Region(*start, start[0] + 50, start[1] + 50), step, seen.shape)
    found = np.zeros_like(seen)
    if part is not None:
        found[part[0] : part[2], part[1] : part[3]] = True
    assert np.array_equal(found, seen) and (part is None) == (not seen.any())


def test_a_snapshot_is_one_moment_while_others_save(tmp_path: Path) -> None:
    """A thread gives one image after the other an object, around and around: no image is ahead of those before it."""
    names = [f"{k:02d}" for k in range(8)]
    for name in names:
        tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros((40, 40), np.uint8))
    project = Project.create(tmp_path / "p", [tmp_path / f"{name}.tif" for name in names])
    masks = np.eye(1600, dtype=bool).reshape(1600, 40, 40)
    for name in names:
        project.add_object(name, masks[0], ObjectInfo())
    stop, rounds = threading.Event(), 1

    def work() -> None:
        nonlocal rounds
        while not stop.is_set():
            for name in names:
                project.add_object(name, masks[rounds], ObjectInfo())
            rounds += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        runs = [project.new_run(FineTuneConfig(steps=9)) for _ in range(8)]
    finally:
        stop.set()
        thread.join()
    seen = set()
    for run in runs:
        counts = [int((image.labels > 0).sum()) for image in read_snapshot(run / "data.h5")]
        assert counts == sorted(counts, reverse=True) and counts[0] - counts[-1] <= 1 and len(counts) == len(names)
        seen.add(tuple(counts))
    assert len(seen) > 3


def test_a_training_is_told_classes_where_there_are_several(tmp_path: Path) -> None:
    project, _ = large_project(tmp_path)
    (whole,) = project.snapshot(SIDE)
    assert whole.classes == {}
    other = project.add_class("other").id
    project.save("large", with_class(project.annotation("large"), "large", 4, other))
    parts = project.snapshot(256)
    wanted = {1: "object", 2: "object", 3: "object", 4: "other"}
    assert len(parts) == 3 and all(part.classes == wanted for part in parts)
    assert all(part.class_order == ("object", "other") for part in parts)
