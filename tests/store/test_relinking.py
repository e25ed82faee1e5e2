"""Images that were moved are found by what is in them, and nothing else is taken for them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr

from naslora_napari.store import Project
from naslora_napari.store.content import PART, PARTS, PATTERN, content_of
from naslora_napari.store.relinking import found_again
from naslora_trainer.errors import UserError

SHAPE = (40, 30)


def noise(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Five images, in two folders: two of the same name, and two that are equal."""
    for place, seed in (("one/a", 1), ("one/b", 2), ("one/same", 3), ("two/a", 4), ("two/same", 3)):
        path = tmp_path / "old" / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        iio.imwrite(path, noise(seed))
    paths = sorted((tmp_path / "old").rglob("*.png"))
    return Project.create(tmp_path / "p", paths)


def test_moved_images_are_found_under_other_names_too(project: Project, tmp_path: Path) -> None:
    names = [image.name for image in project.images]
    pixels = [project.picture(name).whole() for name in names]
    (tmp_path / "new" / "deep").mkdir(parents=True)
    (tmp_path / "old" / "one").rename(tmp_path / "new" / "deep" / "one")
    (tmp_path / "old" / "two").rename(tmp_path / "new" / "two")
    (tmp_path / "new" / "two" / "a.png").rename(tmp_path / "new" / "Zelle 4.png")
    iio.imwrite(tmp_path / "new" / "a.png", noise(9))  # of the same name and size
    reopened = Project.open(project.path)
    assert reopened.missing() == names
    with pytest.raises(UserError, match="Find images"):
        reopened.picture("b")
    found = reopened.relink(tmp_path / "new")
    assert not found.missing and not reopened.missing() and not found.cut_short
    again = Project.open(project.path)
    assert all(np.array_equal(again.picture(name).whole(), was) for name, was in zip(names, pixels, strict=True))
    places = {image.name: image.path.relative_to(tmp_path / "new").as_posix() for image in again.images}
    assert places["same"] == "deep/one/same.png" and places["two_same"] == "two/same.png"


def test_a_file_of_the_same_name_and_size_but_other_content_is_not_taken(project: Project, tmp_path: Path) -> None:
    path = next(image.path for image in project.images if image.name == "b")
    size = path.stat().st_size
    path.unlink()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "b.png").write_bytes(b"\x89PNG" + bytes(size - 4))
    found = project.relink(tmp_path / "new")
    assert not found.found and found.missing == ("b",) and project.missing() == ["b"]


@pytest.mark.skipif(os.name == "nt", reason="needs links and pipes")
def test_links_and_pipes_are_not_followed(project: Project, tmp_path: Path) -> None:
    path = next(image.path for image in project.images if image.name == "b")
    (tmp_path / "elsewhere").mkdir()
    path.rename(tmp_path / "elsewhere" / "b.png")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file.png").symlink_to(tmp_path / "elsewhere" / "b.png")
    (tmp_path / "new" / "folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "new" / "loop").symlink_to(tmp_path / "new")
    os.mkfifo(tmp_path / "new" / "pipe.png")
    assert not project.relink(tmp_path / "new").found
    with pytest.raises(OSError, match="no file"):
        content_of(tmp_path / "new" / "pipe.png")
    assert project.relink(tmp_path / "elsewhere").found


def test_the_search_is_bounded(project: Project, tmp_path: Path) -> None:
    lost = list(project.images)
    (tmp_path / "old").rename(tmp_path / "new")
    assert found_again(lost, tmp_path / "new", most=3).cut_short
    found = found_again(lost, tmp_path / "new")
    assert len(found.found) == 5 and not found.cut_short


def test_all_planes_of_a_stack_move_with_their_file(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "cells.tif", noise(0, (3, *SHAPE)), imagej=True, metadata={"axes": "ZYX"})
    store = zarr.open_group(tmp_path / "cells.zarr", mode="w", zarr_format=2)
    store.create_array("0", shape=(64, 64), chunks=(32, 32), dtype="u1")[:] = noise(1, (64, 64))
    axes = [{"name": axis, "type": "space"} for axis in "yx"]
    store.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]
    project = Project.create(tmp_path / "p", [tmp_path / "cells.tif", tmp_path / "cells.zarr"])
    shutil.copytree(tmp_path / "cells.zarr", tmp_path / "new" / "other.zarr")
    shutil.rmtree(tmp_path / "cells.zarr")
    (tmp_path / "cells.tif").rename(tmp_path / "new" / "cells.tif")
    assert len(project.relink(tmp_path / "new").found) == 4
    assert [image.path.name for image in Project.open(project.path).images] == ["cells.tif"] * 3 + ["other.zarr"]


def test_what_an_older_project_does_not_know_is_learned(project: Project, tmp_path: Path) -> None:
    path = project.path / "project.toml"
    lines = [line for line in path.read_text().splitlines()[1:] if not line.startswith("content")]
    path.write_text("\n".join(lines).replace("version = 3", "version = 2"))
    old = Project.open(project.path)
    assert not any(image.content for image in old.images)
    old.learn_contents()
    contents = [image.content for image in Project.open(project.path).images]
    assert contents == [content_of(image.path) for image in project.images]
    assert all(PATTERN.fullmatch(content) for content in contents) and len(set(contents)) == 4


def test_content_is_quick_to_know_and_sees_every_part(tmp_path: Path) -> None:
    path = tmp_path / "large.bin"
    data = bytearray(noise(0, (3 * PARTS * PART,)).tobytes())
    path.write_bytes(data)
    before = content_of(path)
    for place in (0, len(data) - 1, len(data) // 3 + 2000):
        data[place] ^= 1
        path.write_bytes(data)
        assert content_of(path) != before
        data[place] ^= 1
    small = tmp_path / "small.bin"
    small.write_bytes(data[: PARTS * PART])
    before = content_of(small)
    data[PARTS * PART // 2 + 17] ^= 1
    small.write_bytes(data[: PARTS * PART])
    assert content_of(small) != before
