"""Which image is meant, what is left alone, and what the report says."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from naslora_napari.store import ObjectInfo, Project
from naslora_napari.store.formats import export_project, import_labels
from naslora_trainer.errors import UserError

SHAPE = (90, 70)
PLANE = np.kron(np.arange(63, dtype=np.uint8).reshape(9, 7), np.ones((10, 10), np.uint8))


def coco(*names: str, **image: Any) -> dict[str, Any]:
    """Return a COCO file with a square on each image."""
    square = [[0, 0, 9, 0, 9, 9, 0, 9]]
    return {
        "images": [{"id": n, "file_name": name, "height": 90, "width": 70} | image for n, name in enumerate(names)],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1, "segmentation": square} for n, _ in enumerate(names)
        ],
        "categories": [{"id": 1, "name": "cell"}],
    }


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    "name", ["a.tif", "a.png", "a_masks.tif", "a_cp_masks.png", "a-labels.tif", "a_seg.png", "a.v2_label.tif"]
)
def test_label_images_find_their_image(empty: Project, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    iio.imwrite(folder / name, PLANE)
    report = import_labels(empty, folder)
    if name == "a.v2_label.tif":
        assert report.skipped == [("a.v2", "No image of that name is in the project or beside the labels.")]
        return
    assert [image.name for image in report.images] == ["a"] and report.objects == 62
    assert np.array_equal(empty.annotation("a").labels, PLANE)


def test_images_beside_the_labels_are_added(images: list[Path], tmp_path: Path) -> None:
    project = Project.create(tmp_path / "new")
    (images[0].parent / "sub").mkdir()
    shutil.copy(images[0], images[0].parent / "sub" / "deep.png")
    file = write(images[0].parent / "c.json", coco("a.png", "sub/deep.png", "nowhere.png"))
    report = import_labels(project, file)
    assert report.added_images == ["a", "deep"] and report.objects == 2 and report.added_classes == ["cell"]
    assert report.skipped == [("nowhere.png", "No image of that name is in the project or beside the labels.")]
    assert [entry.path for entry in project.images] == [images[0], images[0].parent / "sub" / "deep.png"]


@pytest.mark.parametrize(
    "name",
    ["../secret.png", "/etc/../{secret}", "..\\secret.png", "link.png", "a\0b.png", "..", "", f"{'x' * 3000}.png"],
)
def test_a_name_never_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    iio.imwrite(tmp_path / "secret.png", PLANE)
    os.symlink(tmp_path / "secret.png", tmp_path / "in" / "link.png")
    project = Project.create(tmp_path / "new")
    file = write(tmp_path / "in" / "c.json", coco(name.format(secret=tmp_path / "secret.png")))
    report = import_labels(project, file)
    assert not project.images and len(report.skipped) == 1


def test_two_images_of_a_name_are_told_apart_by_their_folder(images: list[Path], tmp_path: Path) -> None:
    for folder in ("day1", "day2"):
        (tmp_path / folder).mkdir()
        shutil.copy(images[0], tmp_path / folder / "a.png")
    project = Project.create(tmp_path / "new", [tmp_path / "day1" / "a.png", tmp_path / "day2" / "a.png"])
    assert "may be" in import_labels(project, write(tmp_path / "c.json", coco("a.png"))).skipped[0][1]
    report = import_labels(project, write(tmp_path / "c.json", coco("day2/a.png")))
    assert [image.name for image in report.images] == ["day2_a"]


def test_planes_of_a_stack_find_their_labels(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (3, 40, 50)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "s.tif", stack, metadata={"axes": "ZYX"}, imagej=True)
    project = Project.create(tmp_path / "p", [tmp_path / "s.tif"])
    mask = np.zeros((40, 50), bool)
    mask[3:9, 4:20] = True
    project.add_object("s-z1", mask, ObjectInfo())
    for format in ("coco", "geojson", "labels", "pairs"):
        out = export_project(project, format, tmp_path / format).out
        other = Project.create(tmp_path / f"{format}-again", [tmp_path / "s.tif"])
        report = import_labels(other, out)
        assert [image.name for image in report.images] == ["s-z1"], report
        assert np.array_equal(other.annotation("s-z1").labels > 0, mask)
    assert np.array_equal(tifffile.imread(tmp_path / "pairs" / "images" / "s-z1.tif"), stack[1])
    (feature,) = json.loads((tmp_path / "geojson" / "s-z1.geojson").read_text())["features"]
    assert feature["geometry"]["plane"] == {"c": -1, "z": 1, "t": 0}, "QuPath lays it on this plane of the stack"
    assert feature["properties"]["z"] == 1


def test_images_with_objects_are_left_alone_unless_asked(empty: Project, tmp_path: Path) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[:5, :5] = True
    key = empty.add_object("a", mask, ObjectInfo())
    file = write(tmp_path / "c.json", coco("a.png", "b.v2.tif"))
    report = import_labels(empty, file)
    assert [image.name for image in report.images] == ["b.v2"]
    assert report.skipped[0][0] == "a" and "has 1 objects already" in report.skipped[0][1]
    report = import_labels(empty, file, add=True)
    labels = empty.annotation("a").labels
    assert (labels == key).sum() == 25 and (labels == key + 1).sum() == 81 - 25
    assert report.images[0].overlap == 25


def test_large_numbers_have_room_beside_others(empty: Project, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.where(PLANE > 0, PLANE.astype(np.int64) + 2**31 - 63, 0).astype(np.uint32))
    mask = PLANE == 0
    empty.add_object("a", mask, ObjectInfo())
    report = import_labels(empty, tmp_path / "a.tif", add=True)
    assert report.objects == 62 and np.array_equal(empty.annotation("a").labels, PLANE + 1)


def test_known_classes_are_used_in_any_case(empty: Project, tmp_path: Path) -> None:
    empty.add_class("Cell")
    report = import_labels(empty, write(tmp_path / "c.json", coco("a.png")))
    assert not report.added_classes and empty.annotation("a").objects[1].class_id == 2


def test_the_image_itself_is_not_taken_for_labels(empty: Project) -> None:
    report = import_labels(empty, empty.images[0].path.parent)
    assert not report.images and all("image itself" in why for _, why in report.skipped)


def test_only_what_is_named_like_labels_is_taken_where_some_is(images: list[Path], tmp_path: Path) -> None:
    iio.imwrite(images[0].with_name("a_masks.png"), PLANE)
    project = Project.create(tmp_path / "new")
    report = import_labels(project, images[0].parent)
    assert report.added_images == ["a"] and report.objects == 62 and not report.skipped


def test_one_bad_file_does_not_stop_the_rest(full: Project, empty: Project, tmp_path: Path) -> None:
    out = Path(export_project(full, "geojson", tmp_path / "g").out)
    (out / "a.geojson").write_bytes(b"{nonsense")
    report = import_labels(empty, out)
    assert [image.name for image in report.images] == ["b.v2"]
    assert report.skipped[0][0] == "a" and "not a JSON file" in report.skipped[0][1]
    events: list[dict[str, Any]] = []
    import_labels(empty, out, on_event=events.append)
    assert [(event["step"], event["steps"], event["name"]) for event in events] == [(1, 2, "a"), (2, 2, "b.v2")]


def test_an_image_known_to_be_empty_is_noted(empty: Project, tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "a.png", np.zeros(SHAPE, np.uint8))
    assert import_labels(empty, tmp_path / "a.png").skipped == [("a", "There are no objects for it.")]
    assert import_labels(empty, tmp_path / "a.png", complete=True).images[0].objects == 0
    assert empty.annotation("a").complete


def test_a_mask_of_all_objects_is_pointed_out(empty: Project, tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "a.png", (PLANE > 7).astype(np.uint8) * 255)
    assert "a single object" in import_labels(empty, tmp_path / "a.png").images[0].notes[0]


@pytest.mark.parametrize("name", ["missing", "empty", "readme.txt", "package.json", "photo.jpg"])
def test_nothing_to_import_is_a_sentence(empty: Project, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "readme.txt").write_text("1 apple 2 pears")
    (tmp_path / "package.json").write_text('{"name": "x"}')
    iio.imwrite(tmp_path / "photo.jpg", PLANE)
    with pytest.raises(UserError, match=name):
        import_labels(empty, tmp_path / name)
    with pytest.raises(UserError, match="Choose from"):
        import_labels(empty, tmp_path, "excel")
    with pytest.raises(UserError, match="has no COCO"):
        import_labels(empty, tmp_path, "coco")
