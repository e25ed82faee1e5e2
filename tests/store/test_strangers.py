"""Files of a project that somebody else wrote, moved or edited."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naslora_napari.store import ObjectInfo, Project
from naslora_napari.store.manifest import VERSION
from naslora_napari.store.names import safe_name, unique_name
from naslora_napari.store.records import prompts_from_json, prompts_to_json
from naslora_trainer.errors import UserError
from naslora_trainer.prompts import Prompts, Stroke

NUMBER = st.floats(allow_nan=False, allow_infinity=False)
CLICK = st.tuples(st.tuples(NUMBER, NUMBER), st.integers(0, 1))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for name in ("a", "b"):
        iio.imwrite(tmp_path / f"{name}.png", np.zeros((20, 30), np.uint8))
    project = Project.create(tmp_path / "p", [tmp_path / "a.png", tmp_path / "b.png"])
    for name in ("a", "b"):
        project.add_object(name, np.eye(20, 30, dtype=bool), ObjectInfo(prompts=Prompts(((1.0, 1.0),), (1,))))
    return project


def replaced(file: h5py.File, name: str, **options: object) -> None:
    del file[name]
    file.create_dataset(name, **options)


def linked(file: h5py.File, name: str, link: h5py.SoftLink | h5py.ExternalLink) -> None:
    del file[name]
    file[name] = link


def virtual(file: h5py.File, name: str) -> None:
    """The values of a dataset are those of another file."""
    layout = h5py.VirtualLayout(file[name].shape, file[name].dtype)
    layout[...] = h5py.VirtualSource("b.h5", name, file[name].shape)
    del file[name]
    file.create_virtual_dataset(name, layout)


@pytest.mark.parametrize(
    "change",
    [
        lambda f: replaced(f, "labels", data=np.zeros((20, 30), "<i4")),
        lambda f: replaced(f, "labels", data=-np.eye(20, 30, dtype="<i4")),
        lambda f: replaced(f, "labels", data=np.eye(20, 30)),
        lambda f: replaced(f, "labels", data=np.eye(20, 29, dtype="<i4")),
        lambda f: replaced(f, "labels", shape=(20, 30), dtype="<i4", external=[("/etc/hostname", 0, 2400)]),
        lambda f: linked(f, "labels", h5py.ExternalLink("b.h5", "/labels")),
        lambda f: linked(f, "objects", h5py.SoftLink("/labels")),
        lambda f: virtual(f, "labels"),
        lambda f: replaced(f, "labels", shape=(20, 30), dtype="<i4", chunks=(2**14, 2**14), maxshape=(None, None)),
        lambda f: replaced(f, "prompts", shape=(2**26,), dtype="u1", chunks=(2**22,), compression="gzip", fillvalue=10),
        lambda f: replaced(f, "objects", data=np.concatenate([f["objects"][()]] * 2)),
        lambda f: replaced(f, "objects", data=np.arange(3)),
        lambda f: replaced(f, "prompts", data=np.frombuffer(b'{"points": [[1, NaN]]}\n', np.uint8)),
        lambda f: replaced(f, "prompts", data=np.frombuffer(b"\n\n", np.uint8)),
        lambda f: f.attrs.__delitem__("complete"),
        lambda f: f.attrs.__setitem__("complete", "yes"),
        lambda f: f.attrs.__setitem__("rows", 10**9),
        lambda f: f.attrs.__setitem__("schema", "of variable length"),
        lambda f: f.__delitem__("labels"),
        lambda f: f.__delitem__("objects"),
    ],
)
def test_an_edited_annotation_is_refused_and_kept(project: Project, change: Callable[[h5py.File], object]) -> None:
    path = project.path / "annotations" / "a.h5"
    with h5py.File(path, "a") as file:
        change(file)
    before = path.read_bytes()
    with pytest.raises(UserError, match="a.h5"):
        Project.open(project.path).annotation("a")
    assert path.read_bytes() == before
    assert Project.open(project.path).annotation("b").objects


def test_swapped_annotations_are_noticed(project: Project) -> None:
    folder = project.path / "annotations"
    (folder / "b.h5").replace(folder / "a.h5")
    with pytest.raises(UserError, match="a.h5 belongs to another image"):
        Project.open(project.path).annotation("a")


def test_an_image_of_another_size_is_noticed(project: Project, tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "a.png", np.zeros((20, 31), np.uint8))
    with pytest.raises(UserError, match="a.h5 has labels for 20 x 30 pixels, its image has 20 x 31"):
        Project.open(project.path).annotation("a")


def test_an_object_of_a_class_that_is_gone_is_noticed(project: Project) -> None:
    project.add_class("lesion")
    project.add_object("b", np.eye(20, 30, 5, dtype=bool), ObjectInfo(class_id=2))
    manifest = project.path / "project.toml"
    kept = [line for line in manifest.read_text().splitlines() if "lesion" not in line]
    manifest.write_text("\n".join(kept))
    again = Project.open(project.path)
    with pytest.raises(UserError, match="b.h5 has objects of class 2"):
        again.annotation("b")
    assert again.annotation("a").objects


def test_a_class_that_another_window_added_is_known(project: Project) -> None:
    other = Project.open(project.path)
    other.add_class("lesion")
    other.add_object("b", np.eye(20, 30, 5, dtype=bool), ObjectInfo(class_id=2))
    assert project.annotation("b").objects[2].class_id == 2
    assert project.add_object("b", np.eye(20, 30, 6, dtype=bool), ObjectInfo(class_id=2)) == 3


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('schema = "naslora-project"', 'schema = "else"', "does not describe a project"),
        ("id = 1", "id = 0", "classes.0.id"),
        ('"#', '"', "classes.0.color"),
        ('name = "b"', 'name = "A"', "image name a twice"),
        ('name = "b"', 'name = "../b"', "cannot be a file name"),
        (f"version = {VERSION}", "version = = 3", "is damaged"),
        ('path = "../b.png"', "path = 3", "images.1.path"),
    ],
)
def test_an_edited_manifest_is_refused_by_field(project: Project, old: str, new: str, words: str) -> None:
    path = project.path / "project.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=words) as caught:
        Project.open(project.path)
    assert str(path) in str(caught.value)


@given(st.lists(CLICK, max_size=5), st.none() | st.tuples(NUMBER, NUMBER, NUMBER, NUMBER), st.lists(CLICK, max_size=3))
def test_prompts_come_back_bit_by_bit(
    clicks: list[tuple[tuple[float, float], int]],
    box: tuple | None,
    ends: list[tuple[tuple[float, float], int]],
) -> None:
    strokes = tuple(Stroke((point, (0.5, 0.25)), label) for point, label in ends)
    prompts = Prompts(tuple(point for point, _ in clicks), tuple(label for _, label in clicks), box, strokes=strokes)
    assert prompts_from_json(prompts_to_json(prompts)) == prompts


def test_prompts_of_the_first_version_are_read() -> None:
    assert prompts_from_json('{"points": [[1.0, 2.0]], "labels": [1], "box": null}') == Prompts(((1.0, 2.0),), (1,))
    for strokes in ("[[2, [[1.0, 2.0]]]]", "[[1, []]]", "[[1, [[1.0]]]]", "[[true, [[1.0, 2.0]]]]"):
        with pytest.raises(ValueError, match="stroke|not 2 numbers"):
            prompts_from_json(f'{{"points": [], "labels": [], "box": null, "strokes": {strokes}}}')


@given(st.text(max_size=300), st.lists(st.sampled_from(["a", "A", "con", "x_a", "é", "b/a", ".."]), max_size=12))
def test_names_are_safe_and_unique(text: str, stems: list[str]) -> None:
    name = safe_name(text)
    assert name == safe_name(name) and 0 < len(name.encode()) <= 210 and not set(name) & set('/\\:*?"<>|\0\n')
    taken: set[str] = set()
    for stem in stems:
        found = unique_name(Path("x") / f"{stem}.png", taken)
        assert found == safe_name(found) and found.casefold() not in taken
        taken.add(found.casefold())
