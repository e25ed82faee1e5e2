"""Files that lie about sizes, are damaged, or ask for too much."""

from __future__ import annotations

import json
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roifile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from naslora_napari.store import Project
from naslora_napari.store.formats import checks, coco, geojson, imagej, import_labels, labelme, neutral, yolo

BAD_SHAPES: list[Any] = [
    {"size": [10**6, 10**6], "counts": [10**12]},
    {"size": [90, 70], "counts": [10**12]},
    {"size": [90, 70], "counts": "P" * 100},
    {"size": None},
    [[1, 2, 3]],
    [[0, 0, 1e400, 0, 5, 5]],
    [[0, 0, float("nan"), 0, 5, 5]],
    [[0, 0, 1e30, 0, 5, 5]],
    [["a", "b", "c", "d", "e", "f"]],
    [[[[[1]]]]],
    [{}],
    "x",
    7,
    [None],
    [[10**400, 0, 1, 1, 2, 2]],
]


def one(shape: Any, **image: Any) -> dict[str, Any]:
    good = [[0, 0, 9, 0, 9, 9, 0, 9]]
    return {
        "images": [{"id": 1, "file_name": "a.png", "height": 90, "width": 70} | image],
        "annotations": [{"image_id": 1, "category_id": 1, "segmentation": s} for s in (shape, good)],
        "categories": [{"id": 1, "name": "cell"}],
    }


@pytest.mark.parametrize("shape", BAD_SHAPES, ids=range(len(BAD_SHAPES)))
def test_a_bad_object_is_left_out_and_the_next_one_read(empty: Project, tmp_path: Path, shape: Any) -> None:
    (tmp_path / "c.json").write_text(json.dumps(one(shape)))
    report = import_labels(empty, tmp_path / "c.json")
    assert report.objects == 1 and "1 left out" in report.images[0].notes[0], report
    assert (empty.annotation("a").labels > 0).sum() == 81


NO_COCO: list[Any] = [
    {"images": 1, "annotations": 2},
    {"images": [1], "annotations": []},
    {"images": [{"file_name": 5}], "annotations": []},
    {"images": [{"file_name": "a.png", "id": []}], "annotations": []},
    {"images": [{"file_name": "a.png", "id": 1}], "annotations": [{"image_id": {}}, 5, None]},
    {"images": [], "annotations": [], "categories": [{"id": "x", "name": 1}]},
    one([], height=10**9, width=10**9),
    one([], height=91),
]


@pytest.mark.parametrize("content", NO_COCO, ids=range(len(NO_COCO)))
def test_a_file_that_is_no_coco_changes_nothing(empty: Project, tmp_path: Path, content: Any) -> None:
    (tmp_path / "c.json").write_text(json.dumps(content))
    report = import_labels(empty, tmp_path / "c.json")
    assert report.objects == 0 and report.skipped and not empty.annotation("a").objects


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["type", "features", "geometry", "coordinates", "properties", "classification", "shapes", "points", "label",
         "shape_type", "images", "annotations", "categories", "file_name", "id", "image_id", "segmentation", "counts",
         "size", "mask", "group_id", "geometries", "names"]), inner | st.sampled_from(
        ["Polygon", "MultiPolygon", "GeometryCollection", "FeatureCollection", "mask", "circle", "a.png"]), max_size=5),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON, st.sampled_from([coco, geojson, labelme]))
def test_any_json_is_read_or_refused(tmp_path: Path, content: Any, module: Any) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(content))
    try:
        for found in module.read(path):
            found.draw((9, 7))
    except neutral.WRONG:
        pass


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_regions_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    roi = roifile.ImagejRoi.frompoints(np.array([[1, 2], [6, 2], [6, 7], [1, 7]]))
    content = bytearray(roi.tobytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "x.roi"
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    for found in imagej.read(path):
        found.draw((9, 7))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="0123456789 .-e\nnaif", max_size=60))
def test_any_text_is_read_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.txt"
    path.write_text(text)
    for found in yolo.read(path):
        found.draw((9, 7))


def test_a_zip_bomb_is_refused(empty: Project, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(3):
            file.writestr(f"{number}.roi", b"Iout" + bytes(100 * 2**20))
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    report = import_labels(empty, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "too large" in report.skipped[0][1] and peak < 20 * 2**20


def test_a_zip_that_lies_about_its_sizes_is_refused(empty: Project, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("1.roi", b"Iout" + bytes(2**20))
    size = struct.pack("<I", 2**20 + 4)
    path.write_bytes(path.read_bytes().replace(size, struct.pack("<I", 100)))
    report = import_labels(empty, path)
    assert not report.images and "could not be unpacked" in report.skipped[0][1]
    for content in (b"PK", b"PK\x05\x06" + bytes(18)):
        path.write_bytes(content)
        assert import_labels(empty, path).skipped


def test_too_large_a_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with open(path, "wb") as file:
        file.truncate(checks.LARGEST_FILE + 1)
    with pytest.raises(neutral.UserError, match="512 are allowed"):
        checks.read_json(path)


def test_too_many_corners_are_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        checks.corners([[0, 0]] * (checks.MOST_CORNERS + 1))


def test_objects_that_cover_each_other_without_end_are_refused(empty: Project, tmp_path: Path,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(neutral, "MOST_DRAWN", 0)
    content = one([[0, 0, 70, 0, 70, 90, 0, 90]])
    content["annotations"] *= neutral.MOST_LAYERS + 1
    (tmp_path / "c.json").write_text(json.dumps(content))
    assert "cover each other" in import_labels(empty, tmp_path / "c.json").skipped[0][1]


def test_deep_json_and_yaml_with_code_are_refused(empty: Project, tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text("[" * 100_000)
    assert "not a JSON file" in import_labels(empty, tmp_path / "a.geojson").skipped[0][1]
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.1 0.1 0.9 0.1 0.9 0.9\n")
    made = tmp_path / "made"
    for names in (f"!!python/object/apply:os.system ['touch {made}']", "[", "{0: &a [*a]}"):
        (tmp_path / "data.yaml").write_text(f"names: {names}\n")
        report = import_labels(empty, tmp_path, "yolo")
        assert not made.exists() and (report.skipped or report.added_classes == ["class 0"])


def test_a_zarr_with_code_or_of_another_size_is_refused(empty: Project, tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    group.create_array("committed_objects", shape=(10**7, 10**7), chunks=(64, 64), dtype="uint32")
    assert "too many pixels" in import_labels(empty, tmp_path / "a.zarr").skipped[0][1]
    path = tmp_path / "a.zarr" / "committed_objects" / ".zarray"
    content = json.loads(path.read_text()) | {"shape": [90, 70], "filters": [{"id": "pickle"}]}
    path.write_text(json.dumps(content))
    assert import_labels(empty, tmp_path / "a.zarr").skipped
    path.write_text("{")
    assert "damaged" in import_labels(empty, tmp_path / "a.zarr").skipped[0][1]


def test_names_of_classes_are_made_harmless() -> None:
    assert checks.class_name(" a\n\x1b[31m\u202eb\ud800 ") == "a [31mb"
    assert len(checks.class_name("x" * 10_000)) == 200 and checks.class_name(None) == ""
    assert checks.color("red") == "" and checks.color([1, 2, 300]) == "" and checks.color([255, 0, 16]) == "#ff0010"
