from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import h5py
import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from naslora_napari.store import ObjectInfo, Project
from naslora_napari.store.annotations import read_annotation, write_annotation
from naslora_napari.store.edits import new_object, painted
from naslora_napari.store.manifest import VERSION
from naslora_napari.store.records import Annotation, Marks
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import objects_of, read_snapshot
from naslora_trainer.errors import UserError
from naslora_trainer.prompts import Prompts, Stroke

SHAPE = (40, 30)


def square(start: int, end: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[start:end, start:end] = True
    return mask


def draw(path: Path, shape: tuple[int, ...] = SHAPE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    iio.imwrite(path, np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8))
    return path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    images = [draw(tmp_path / "images" / f"{name}.png") for name in ("a", "b")]
    return Project.create(tmp_path / "p.naslora", images, ["nucleus", "lesion"])


def h5_of(project: Project, name: str = "a") -> Path:
    return next(path for path in (project.path / "annotations").iterdir() if path.stem == name)


def test_objects_are_there_after_a_restart(project: Project) -> None:
    strokes = (Stroke(((1.5, 2.0), (3.0, 4.0))), Stroke(((8.0, 8.0),), 0))
    prompts = Prompts(((3.5, 4.0), (9.0, 1.0)), (1, 0), (1.0, 2.0, 8.0, 9.0), strokes=strokes)
    first = project.add_object("a", square(2, 8), ObjectInfo(2, "prompt", "litemedsam+1", "", "ada", prompts))
    second = project.add_object("a", square(5, 12), ObjectInfo())
    found = Project.open(project.path).annotation("a")
    assert (found.labels == first).sum() == 36 and (found.labels == second).sum() == 49 - 9
    info = found.objects[first]
    assert (info.class_id, info.model, info.annotator, info.prompts) == (2, "litemedsam+1", "ada", prompts)
    assert info.time and not found.complete
    assert [c.name for c in Project.open(project.path).classes] == ["nucleus", "lesion"]


def test_numbers_follow_the_work(project: Project) -> None:
    assert project.summary().objects == 0
    key = project.add_object("a", square(2, 8), ObjectInfo())
    project.import_labels("b", np.arange(1200, dtype=np.int32).reshape(SHAPE) % 3, True)
    summary = project.summary()
    assert (summary.images, summary.annotated, summary.objects, summary.complete) == (2, 2, 3, 1)
    project.remove_object("a", key)
    assert project.summary().annotated == 1 and not project.annotation("a").labels.any()


def test_a_brushed_plane_forgets_what_is_gone(project: Project) -> None:
    key = project.add_object("a", square(2, 8), ObjectInfo())
    labels = np.where(square(20, 25), 9, 0)
    project.save("a", painted(project.annotation("a"), "a", labels, ObjectInfo(source="brush")))
    found = project.annotation("a")
    assert key not in found.objects and found.objects[9].source == "brush" and np.array_equal(found.labels, labels)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (
            lambda p: p.add_object("a", np.ones((5, 5), bool), ObjectInfo()),
            "not a boolean plane of the size of image 'a'",
        ),
        (lambda p: p.add_object("a", np.zeros(SHAPE, bool), ObjectInfo()), "no free pixel"),
        (lambda p: p.add_object("a", square(1, 3), ObjectInfo(class_id=7)), "no class 7"),
        (lambda p: p.add_object("z", square(1, 3), ObjectInfo()), "'z'"),
        (lambda p: p.remove_object("a", 3), "no object 3"),
        (lambda p: p.import_labels("a", np.ones((9, 9), int), True), "not of its size"),
        (lambda p: p.import_labels("a", np.full(SHAPE, -1), True), "label plane of image 'a'"),
        (lambda p: p.save("a", painted(p.annotation("a"), "a", np.full(SHAPE, 4), ObjectInfo(7))), "no class 7"),
        (lambda p: p.new_run(FineTuneConfig()), "no labelled objects"),
        (lambda p: p.adopt(p.path), "has no adapter"),
    ],
)
def test_what_does_not_fit_is_said(project: Project, action: Callable[[Project], object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        action(project)
    assert project.summary().objects == 0


def test_names_of_images_do_not_collide(tmp_path: Path) -> None:
    paths = [draw(tmp_path / folder / name) for folder in ("x", "y") for name in ("Zelle ä.png", "cell.png")]
    project = Project.create(tmp_path / "p", [*paths, draw(tmp_path / "x" / "con.png")])
    names = [entry.name for entry in project.images]
    assert len({name.casefold() for name in names}) == 5
    for i, name in enumerate(names, 1):
        project.add_object(name, square(1, 3 + i), ObjectInfo())
    again = Project.open(project.path)
    assert [int(again.annotation(n).labels.sum()) for n in names] == [(2 + i) ** 2 for i in range(1, 6)]


def test_a_moved_project_finds_its_images_and_a_lost_one_is_named(project: Project, tmp_path: Path) -> None:
    project.add_object("a", square(2, 8), ObjectInfo())
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("images", "p.naslora"):
        (tmp_path / name).rename(moved / name)
    again = Project.open(moved / "p.naslora")
    assert again.picture("a").shape == SHAPE[:2] and again.annotation("a").objects
    (moved / "images" / "b.png").unlink()
    with pytest.raises(UserError, match="b.png"):
        again.picture("b")


def test_a_snapshot_holds_the_labelled_images(project: Project) -> None:
    project.add_object("b", square(2, 8), ObjectInfo())
    run = project.new_run(FineTuneConfig(steps=9))
    images = read_snapshot(run / "data.h5")
    assert [image.name for image in images] == ["b"] and objects_of(images[0]) == [1] and not images[0].complete
    assert images[0].image.shape == (*SHAPE, 3)


def test_a_newer_project_is_refused(project: Project) -> None:
    path = project.path / "project.toml"
    text = path.read_text()
    version = next(key for key, value in tomllib.loads(text).items() if value == VERSION)
    path.write_text(text.replace(f"{version} = {VERSION}", f"{version} = 99", 1))
    with pytest.raises(UserError, match="newer"):
        Project.open(project.path)


def test_a_newer_annotation_is_refused_and_kept(project: Project) -> None:
    project.add_object("a", square(2, 8), ObjectInfo())
    with h5py.File(h5_of(project), "a") as file:
        file.attrs["version"] = 99
    before = h5_of(project).read_bytes()
    again = Project.open(project.path)
    with pytest.raises(UserError, match="newer"):
        again.annotation("a")
    with pytest.raises(UserError, match="newer"):
        again.add_object("a", square(20, 25), ObjectInfo())
    assert h5_of(project).read_bytes() == before


@pytest.mark.parametrize("broken", ["replace", "fsync"])
def test_a_crash_while_saving_loses_nothing(project: Project, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    project.add_object("a", square(2, 8), ObjectInfo())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, broken, full)
        with pytest.raises(UserError, match="disk is full|No space|could not be saved"):
            project.add_object("a", square(20, 25), ObjectInfo())
    assert set(project.annotation("a").objects) == set(Project.open(project.path).annotation("a").objects) == {1}
    assert len(list((project.path / "annotations").iterdir())) == 1
    assert project.add_object("a", square(20, 25), ObjectInfo()) == 2


@pytest.mark.skipif(not hasattr(os, "kill") or sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_process_keeps_what_it_said_was_saved(project: Project) -> None:
    """A real process that adds objects and is killed at a random moment; what it printed before is on disk."""
    code = (
        "import sys, numpy as np\n"
        "from naslora_napari.store import Project, ObjectInfo\n"
        "p = Project.open(sys.argv[1])\n"
        "for i in range(1200):\n"
        "    m = np.zeros((40, 30), bool); m[i // 30, i % 30] = True\n"
        "    print(p.add_object('a', m, ObjectInfo()), flush=True)\n"
    )
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join(str(root / part) for part in ("", "trainer", "resources"))
    command = [sys.executable, "-c", code, str(project.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}) as child:
        assert child.stdout is not None
        said = [int(child.stdout.readline()) for _ in range(20)]
        child.kill()
        said += [int(line) for line in child.stdout.read().splitlines() if line.strip()]
    stored = set(Project.open(project.path).annotation("a").objects)
    assert set(said) <= stored and len(stored) <= len(said) + 1


def test_damaged_files_are_a_sentence_or_the_truth(project: Project) -> None:
    """Sixty cut or bit-flipped annotation files: never a crash, never wrong labels."""
    project.import_labels("a", np.arange(1200, dtype=np.int32).reshape(SHAPE) // 100, True)
    path, truth = h5_of(project), project.annotation("a").labels
    data, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(60):
        mutated = bytearray(data)
        for _ in range(int(rng.integers(1, 6))):
            mutated[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        path.write_bytes(mutated[: int(rng.integers(len(data)))] if rng.random() < 0.3 else mutated)
        try:
            assert np.array_equal(Project.open(project.path).annotation("a").labels, truth)
        except UserError as error:
            refused += 1
            assert path.name in str(error)
    assert refused > 10


def test_links_out_of_the_file_are_refused(project: Project, tmp_path: Path) -> None:
    project.add_object("a", square(2, 8), ObjectInfo())
    path = h5_of(project)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["labels"] = np.ones(SHAPE, "<i4")
    for link in (h5py.ExternalLink(str(tmp_path / "other.h5"), "labels"), h5py.SoftLink("/objects")):
        with h5py.File(path, "a") as file:
            del file["labels"]
            file["labels"] = link
        with pytest.raises(UserError, match=path.name):
            Project.open(project.path).annotation("a")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_annotations_come_back_bit_by_bit(
    tmp_path_factory: pytest.TempPathFactory, seed: int, height: int, width: int, complete: bool
) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.integers(0, 5, (height, width)) * int(rng.integers(1, 10**8))).astype(np.int32)
    texts = ["", "ä ö 細胞", "x" * 300]
    objects = {
        int(i): ObjectInfo(
            int(rng.integers(1, 9)), "brush", texts[int(rng.integers(3))], "2026", texts[int(rng.integers(3))]
        )
        for i in np.unique(labels)
        if i
    }
    path = tmp_path_factory.mktemp("h5") / "a.h5"
    write_annotation(path, "a", Annotation(labels, objects, Marks(complete)))
    found = read_annotation(path, "a", (height, width))
    assert np.array_equal(found.labels, labels) and found.objects == objects and found.complete == complete


def test_only_the_touched_chunks_are_written_and_a_file_does_not_grow(tmp_path: Path) -> None:
    image = draw(tmp_path / "large.png", (1000, 900))
    project = Project.create(tmp_path / "p", [image])
    rng, labels = np.random.default_rng(0), np.zeros((1000, 900), np.int32)
    project.add_object("large", np.pad(np.ones((5, 5), bool), ((600, 395), (300, 595))), ObjectInfo())
    path = h5_of(project, "large")
    with h5py.File(path) as file:
        assert file["labels"].id.get_num_chunks() == 1
    for i in range(60):
        labels[250:270, 500:530] = rng.integers(1, 4, (20, 30)) + 3 * i
        labels[600:605, 300:305] = 1
        project.save("large", painted(project.annotation("large"), "large", labels, ObjectInfo()))
        if i == 0:
            size = path.stat().st_size
    assert path.stat().st_size < 1.2 * size
    assert np.array_equal(Project.open(project.path).annotation("large").labels, labels)
    with h5py.File(path) as file:
        assert file["labels"].id.get_num_chunks() == 5  # of 16


def test_an_edit_of_labels_that_were_changed_elsewhere_is_refused(project: Project) -> None:
    before = project.annotation("a")
    Project.open(project.path).add_object("a", square(2, 8), ObjectInfo())
    for edit in (
        new_object(before, "a", square(5, 12), ObjectInfo())[0],
        new_object(before, "a", square(20, 25), ObjectInfo())[0],  # of the same id
    ):
        with pytest.raises(UserError, match="changed elsewhere"):
            project.save("a", edit)
    assert np.array_equal(project.annotation("a").labels, square(2, 8))


def test_every_plane_of_a_stack_is_an_image(tmp_path: Path) -> None:
    stack = np.arange(2 * 12 * 9 * 8, dtype=np.uint16).reshape(2, 12, 9, 8)
    tifffile.imwrite(tmp_path / "cells.tif", stack, imagej=True, metadata={"axes": "TZYX"})
    tifffile.imwrite(tmp_path / "cells-t0z03.tif", stack[0, 3])
    project = Project.create(tmp_path / "stack", [tmp_path / "cells-t0z03.tif", tmp_path / "cells.tif"])
    names = [image.name for image in project.images]
    assert len(names) == 25 and len({name.casefold() for name in names}) == 25
    mask = np.zeros((9, 8), bool)
    mask[2:5, 2:5] = True
    again = Project.open(project.path)
    assert [image.plane for image in again.images[1:4]] == [(0, 0), (0, 1), (0, 2)]
    there = next(image.name for image in again.images if image.plane == (1, 7))
    again.add_object(there, mask, ObjectInfo())
    assert np.array_equal(again.picture(there).levels[0], stack[1, 7])
    (sample,) = again.snapshot(256)
    assert sample.name == there and np.array_equal(sample.labels > 0, mask)
    assert again.add_images([tmp_path / "cells.tif"]) == names[1:]


def test_contrast_limits_are_kept_for_all_planes_of_a_file(tmp_path: Path) -> None:
    stack = np.linspace(0, 4000, 3 * 9 * 8).reshape(3, 9, 8).astype(np.uint16)
    tifffile.imwrite(tmp_path / "cells.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    project = Project.create(tmp_path / "p", [tmp_path / "cells.tif"])
    before = project.picture("cells-z2").whole()
    project.set_limits("cells-z0", (100.5, 2000.0))
    again = Project.open(project.path)
    assert {image.limits for image in again.images} == {(100.5, 2000.0)}
    assert not np.array_equal(again.picture("cells-z2").whole(), before)
    text = (project.path / "project.toml").read_text()
    for wrong in ("[2000.0, 100.5]", "[1.0]", "[nan, 3.0]"):
        (project.path / "project.toml").write_text(re.sub(r"limits = \[[^]]*\]", f"limits = {wrong}", text))
        with pytest.raises(UserError, match="limits"):
            Project.open(project.path)


def test_channels_are_kept_for_all_planes_of_a_file(tmp_path: Path) -> None:
    dyes = np.arange(2 * 4 * 20 * 30).reshape(2, 4, 20, 30).astype(np.uint16)
    tifffile.imwrite(tmp_path / "dyes.tif", dyes, imagej=True, metadata={"axes": "ZCYX"})
    project = Project.create(tmp_path / "dyes", [tmp_path / "dyes.tif"])
    first, second = (image.name for image in project.images)
    assert len(project.channel_names(first)) == 4 and project.channels(first) == ()
    project.set_limits(first, (3.0, 9.0))
    project.set_channels(second, (2,))
    again = Project.open(project.path)
    assert again.channels(first) == again.channels(second) == (2,)
    assert np.array_equal(again.picture(first).levels[0], dyes[0, 2]) and again.picture(first).limits != (3.0, 9.0)
    with pytest.raises(UserError, match="does not have the channels"):
        project.set_channels(first, (4,))
    mask = np.zeros((20, 30), bool)
    mask[2:12, 3:15] = True
    again.close()
    project.add_object(second, mask, ObjectInfo())
    (sample,) = project.snapshot(256)
    assert np.array_equal(sample.image, project.picture(second).whole())
