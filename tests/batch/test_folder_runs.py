"""Runs over folders: what is resumed, what is kept, what is reported. The model is a threshold; all else is real."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from pycocotools.coco import COCO
from skimage.measure import label
from skimage.segmentation import find_boundaries

from naslora_napari.batch import linked, segment_folder
from naslora_napari.batch.ledger import LEDGER
from naslora_napari.batch.masks import AutoMasks
from naslora_napari.batch.measure import COLUMNS, SUMMARY
from naslora_napari.batch.ngff import read_ngff
from naslora_napari.batch.table import Table
from naslora_napari.batch.work import Model
from naslora_napari.batch.writing import OUTLINE
from naslora_napari.store.formats import FORMATS
from naslora_trainer.pictures import open_picture, picture_size, planes_of
from naslora_trainer.pixel_size import pixel_size, voxel_depth

from ..trainer.test_pictures import write_zarr

SEEN: list[int] = []


@pytest.fixture(autouse=True)
def threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    SEEN.clear()

    def segment(self: Model, rgb: np.ndarray) -> AutoMasks:
        SEEN.append(1)
        labels = label(rgb[..., 0] > 128).astype(np.int32)
        return AutoMasks(labels, np.full(labels.max(), 0.5))

    monkeypatch.setattr(Model, "load", lambda self: self)
    monkeypatch.setattr(Model, "segment", segment)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five images of one to five squares, of several formats, in nested folders."""
    made = tmp_path / "in"
    for number, name in enumerate(("a.png", "b.tif", "sub/c.png", "sub/deep/d.bmp", "sub/deep/e.tif"), 1):
        image = np.zeros((40, 60), np.uint8)
        for k in range(number):
            image[10:18, 2 + 11 * k : 10 + 11 * k] = 200
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".tif":
            tifffile.imwrite(path, image, resolution=(20000, 20000), resolutionunit="CENTIMETER")
        else:
            iio.imwrite(path, image)
    return made


def rows(out: Path, name: str = "measurements.csv") -> list[dict[str, Any]]:
    return list(Table(out / name, SUMMARY if name == "summary.csv" else COLUMNS).rows())


def test_nested_folders_are_mirrored_and_measured(folder: Path, tmp_path: Path) -> None:
    out, events = folder / "results", []
    for _ in range(2):  # results that lie in the folder are no images
        events.clear()
        report = segment_folder(
            folder, out, recursive=True, on_event=events.append, extras=("coco", "geojson", "overlays")
        )
        assert report.images == 5 and report.objects == 15 and not report.failed
    assert tifffile.imread(out / "sub/deep/e.tif").max() == 5 and pixel_size(out / "sub/deep/e.tif") == (0.5, 0.5)
    assert iio.immeta(out / "overlays/b.png")["dpi"] == pytest.approx((50800, 50800))
    assert pixel_size(out / "a.tif") is None and "dpi" not in iio.immeta(out / "overlays/a.png")
    found = rows(out)
    assert len(found) == 15 and {row["area"] for row in found} == {"64.0"}
    sized = [row for row in found if row["image"] == "b.tif"]
    assert [row["area_um2"] for row in sized] == ["16.0", "16.0"] and sized[0]["pixel_width_um"] == "0.5"
    assert all(row["area_um2"] == "" for row in found if row["image"].endswith("png"))
    assert [row["objects"] for row in rows(out, "summary.csv")] == ["1", "2", "3", "4", "5"]
    paces = [event for event in events if event["event"] == "progress"]
    assert all(event["per_minute"] > 0 for event in paces) and paces[-1]["eta_s"] == 0
    coco = json.loads((out / "coco.json").read_text())
    assert len(coco["images"]) == 5 and len(coco["annotations"]) == 15
    read = FORMATS["geojson"].read
    assert read is not None
    (shapes,) = read(out / "sub/c.geojson")
    assert np.array_equal(shapes.draw((40, 60)).labels > 0, tifffile.imread(out / "sub/c.tif") > 0)
    assert iio.imread(out / "overlays/sub/c.png").shape == (40, 60, 3)


def test_each_kind_of_file_is_segmented(tmp_path: Path) -> None:
    made, out = tmp_path / "in", tmp_path / "out"
    made.mkdir()
    image = np.zeros((40, 60), np.uint8)
    image[10:18, 2:10] = image[20:28, 30:42] = 200
    deep = image.astype(np.uint16) * 257
    rgb = np.repeat(image[..., None], 3, 2)
    tifffile.imwrite(made / "big.tif", image, bigtiff=True)
    tifffile.imwrite(made / "tiled.tif", rgb, tile=(16, 16), compression="lzw", photometric="rgb")
    tifffile.imwrite(made / "deflated.tiff", deep, bigtiff=True, tile=(32, 32), compression="zlib", predictor=True)
    iio.imwrite(made / "deep.png", deep)
    iio.imwrite(made / "still.gif", image)
    iio.imwrite(made / "photograph.jpg", rgb, quality=100)
    iio.imwrite(made / "web.webp", rgb, lossless=True)
    report = segment_folder(made, out, extras=("coco", "geojson"))
    assert not report.failed and (report.images, report.objects) == (7, 14)
    for path in made.iterdir():
        assert np.array_equal(tifffile.imread(out / f"{path.stem}.tif") > 0, image > 128), path.name
    coco = COCO(str(out / "coco.json"))
    for one in coco.anns.values():
        mask = coco.annToMask(one)
        assert mask.sum() == one["area"] in (64, 96) and np.array_equal(mask & (image > 128), mask)
    assert sorted(one["file_name"] for one in coco.imgs.values()) == sorted(path.name for path in made.iterdir())


@pytest.mark.parametrize("stop_after", range(5))
def test_a_stopped_run_is_resumed_where_it_was(folder: Path, tmp_path: Path, stop_after: int) -> None:
    out, done = tmp_path / "out", []

    def note(event: dict[str, Any]) -> None:
        done.extend([""] * (event["event"] == "progress"))

    first = segment_folder(folder, out, recursive=True, on_event=note, should_stop=lambda: len(done) >= stop_after)
    assert first.cancelled and first.images == stop_after == len(done)
    SEEN.clear()
    second = segment_folder(folder, out, recursive=True, resume=True)
    assert not second.cancelled and (second.images, second.objects) == (5, 15) and len(SEEN) == 5 - stop_after
    assert len({(row["image"], row["label"]) for row in rows(out)}) == len(rows(out)) == 15
    assert len(rows(out, "summary.csv")) == 5


def test_what_was_written_by_halves_is_done_again(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    segment_folder(folder, out, recursive=True)
    whole, ledger = rows(out), (out / LEDGER).read_bytes()
    (out / LEDGER).write_bytes(ledger[:-20])  # a crash in the last line
    with (out / "measurements.csv").open("a") as file:
        file.write("sub/deep/e.tif,6,,0.")
    (out / "a.tif").write_bytes(b"half")
    (folder / "b.tif").touch()
    SEEN.clear()
    segment_folder(folder, out, recursive=True, resume=True)
    assert len(SEEN) == 3
    assert sorted(map(str, rows(out))) == sorted(map(str, whole))


def test_another_model_or_format_is_not_taken_for_done(folder: Path, tmp_path: Path) -> None:
    out, said = tmp_path / "out", []
    segment_folder(folder, out, recursive=True)
    SEEN.clear()
    again = segment_folder(
        folder, out, base="litemedsam", recursive=True, resume=True, on_event=said.append, format="png"
    )
    assert len(SEEN) == 5 and again.images == 5 and len(rows(out)) == 15
    assert any("another model" in event["message"] for event in said if event["event"] == "warning")
    assert iio.imread(out / "sub/c.png").dtype == np.uint16


def test_a_broken_image_is_in_the_summary_and_tried_again(folder: Path, tmp_path: Path) -> None:
    out, broken = tmp_path / "out", folder / "broken.png"
    broken.write_bytes(b"\x89PNG nonsense")
    report = segment_folder(folder, out, recursive=True)
    assert report.images == 5 and [name for name, _ in report.failed] == ["broken.png"]
    (row,) = [row for row in rows(out, "summary.csv") if row["status"] == "failed"]
    assert row["image"] == "broken.png" and row["reason"] == report.failed[0][1]
    broken.write_bytes((folder / "a.png").read_bytes())
    again = segment_folder(folder, out, recursive=True, resume=True)
    assert again.images == 6 and not again.failed and len(rows(out)) == 16


def test_nothing_begins_in_a_pause(folder: Path, tmp_path: Path) -> None:
    asked: list[int] = []

    def paused() -> bool:
        asked.append(len(SEEN))
        return len(asked) < 5

    report = segment_folder(folder, tmp_path / "out", recursive=True, is_paused=paused)
    assert report.images == 5 and asked[:5] == [0] * 5


def test_parquet_has_the_same_rows(folder: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    segment_folder(folder, tmp_path / "out", recursive=True, measure=tmp_path / "t.parquet")
    found = parquet.read_table(tmp_path / "t.parquet").to_pylist()
    assert [row["image"] for row in found] == [row["image"] for row in rows(tmp_path / "out")]
    assert found[0]["area"] == 64.0 and found[0]["area_um2"] is None


def test_classes_are_in_all_results(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def segment(self: Model, rgb: np.ndarray) -> AutoMasks:
        labels = label(rgb[..., 0] > 128).astype(np.int32)
        return AutoMasks(labels, np.ones(labels.max()), np.arange(labels.max()) % 2 + 1)

    monkeypatch.setattr(Model, "segment", segment)
    monkeypatch.setattr(Model, "classes", ("leaf", "root, thin"))
    out, extras = tmp_path / "out", ("coco", "geojson", "overlays", "semantic")
    segment_folder(folder, out, recursive=True, extras=extras)
    before = [(out / name).read_bytes() for name in ("coco.json", "classes.csv", "summary.csv")]
    of = {(row["image"], row["label"]): row["class"] for row in rows(out)}
    assert len(of) == 15 and all(name == ("root, thin", "leaf")[int(number) % 2] for (_, number), name in of.items())
    assert (out / "classes.csv").read_text().splitlines() == [
        "number,class,color",
        "1,leaf,#e69f00",
        '2,"root, thin",#56b4e9',
    ]
    instances, classes = (tifffile.imread(out / where / "sub/deep/e.tif") for where in ("", "semantic"))
    assert classes.dtype == np.uint8 and np.array_equal(classes, np.where(instances > 0, (instances + 1) % 2 + 1, 0))
    drawn, plain = iio.imread(out / "overlays/sub/deep/e.png"), iio.imread(folder / "sub/deep/e.tif")
    lines = [(drawn == color).all(axis=-1) for color in ((0xE6, 0x9F, 0), (0x56, 0xB4, 0xE9))]
    assert all(line.any() and (classes[line] == number).all() for number, line in enumerate(lines, start=1))
    rest = ~(lines[0] | lines[1])
    assert np.array_equal(drawn[rest], np.stack([plain] * 3, axis=-1)[rest])
    columns = (*SUMMARY, "objects_leaf", "objects_root, thin")
    summary = list(Table(out / "summary.csv", columns).rows())
    assert [(row[columns[-2]], row[columns[-1]]) for row in summary] == [("1", "0"), *zip("1223", "1122", strict=True)]
    coco = json.loads((out / "coco.json").read_text())
    names = {category["id"]: category["name"] for category in coco["categories"]}
    assert sorted(names[a["category_id"]] for a in coco["annotations"]) == ["leaf"] * 9 + ["root, thin"] * 6
    shapes = json.loads((out / "sub/c.geojson").read_text())["features"]
    assert [f["properties"]["classification"]["name"] for f in shapes] == ["leaf", "root, thin", "leaf"]
    segment_folder(folder, out, recursive=True, extras=extras, resume=True)
    assert before == [(out / name).read_bytes() for name in ("coco.json", "classes.csv", "summary.csv")]
    monkeypatch.setattr(Model, "classes", ("leaf", "stem"))
    SEEN.clear()
    said: list[dict[str, Any]] = []
    segment_folder(folder, out, recursive=True, extras=extras, resume=True, on_event=said.append)
    assert any(event["event"] == "warning" for event in said)
    assert {row["class"] for row in rows(out)} == {"leaf", "stem"}


def test_without_classes_a_semantic_image_is_what_is_an_object(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    segment_folder(folder, out, extras=("semantic",), format="png")
    objects, semantic = iio.imread(out / "b.png"), iio.imread(out / "semantic/b.png")
    assert np.array_equal(semantic, objects > 0) and not (out / "classes.csv").exists()


def moving(planes: int) -> np.ndarray:
    """Two squares that move by a pixel from plane to plane; the second is gone from the middle on."""
    found = np.zeros((planes, 40, 60), np.uint8)
    for k in range(planes):
        found[k, 5:15, 5 + k : 15 + k] = 200
        found[k, 25:35, 30 - k : 40 - k] = 220 if k < planes // 2 else 0
    return found


def check_coco(out: Path, z: np.ndarray, tz: np.ndarray) -> None:
    """What COCO says of planes is what is in the label images: each is a frame of its stack, with the same numbers."""
    coco = json.loads((out / "coco.json").read_text())
    names = [image["file_name"] for image in coco["images"]]
    assert len(set(names)) == 1 + 6 + 8 and {"one.png", "z-z5.tif", "tz-t1z3.tif"} <= set(names)
    stacks = {"z.tif": z, "tz.tif": tz.reshape(8, 40, 60)}
    videos = {video["id"]: stacks[video["name"]] for video in coco["videos"]}
    for image in coco["images"]:
        own = [one for one in coco["annotations"] if one["image_id"] == image["id"]]
        if image["file_name"] == "one.png":
            assert len(own) == 2 and "video_id" not in image and "instance_id" not in own[0]
            continue
        plane = videos[image["video_id"]][image["frame_id"]]
        assert {one["instance_id"]: one["area"] for one in own} == {n: (plane == n).sum() for n in np.unique(plane)[1:]}
    assert next(image["plane"] for image in coco["images"] if image["file_name"] == "tz-t1z3.tif") == {"t": 1, "z": 3}


def check_linked(out: Path, z: np.ndarray, tz: np.ndarray) -> None:
    """There is a row for each linked object, and it says of the voxels of the label image what is true."""
    table = Table(out / "linked.csv", linked.COLUMNS)
    found = {(row["image"], int(row["label"])): row for row in table.rows()}
    assert set(found) == {("z.tif", n) for n in (1, 2)} | {("tz.tif", n) for n in (1, 2, 3, 4)}
    for n in (1, 2):
        row, where = found["z.tif", n], np.argwhere(z == n)
        centre = [float(row[key]) for key in ("centroid_plane", "centroid_row", "centroid_col")]
        assert int(row["volume"]) == len(where) and centre == pytest.approx(where.mean(axis=0), rel=1e-6)
        assert float(row["volume_um3"]) == pytest.approx(len(where) * 3 * 0.5 * 0.5)
        assert float(row["centroid_depth_um"]) == pytest.approx(3 * where[:, 0].mean())
        assert (row["axis"], row["first"], row["planes"], row["touches_border"]) == ("z", "0", str(6 // n), "1")
    last = found["tz.tif", 4]
    assert (last["elsewhere"], last["first"], last["last"], last["volume_um3"]) == ("1", "0", "1", "")
    assert int(last["volume"]) == (tz == 4).sum()


def test_objects_of_a_series_have_a_time_and_no_volume(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    tifffile.imwrite(folder / "t.tif", moving(6), imagej=True, metadata={"axes": "TYX"})
    segment_folder(folder, out, measure=tmp_path / "cells.parquet")
    whole, gone = parquet.read_table(tmp_path / "cells_linked.parquet").to_pylist()
    assert (whole["axis"], whole["first"], whole["last"], whole["touches_border"]) == ("t", 0, 5, 0)
    assert (gone["first"], gone["last"], gone["planes"], gone["area_mean"]) == (0, 2, 3, 100)
    assert whole["volume"] is None and whole["centroid_plane"] is None and whole["centroid_row"] == 9.5
    (folder / "t.tif").unlink()
    iio.imwrite(folder / "one.png", moving(2)[0])
    segment_folder(folder, out)
    assert not (out / "linked.csv").exists()


def test_a_stack_is_segmented_plane_by_plane_and_linked(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    size = {"resolution": (2, 2), "metadata": {"axes": "ZYX", "unit": "um", "spacing": 3.0}}
    tifffile.imwrite(folder / "z.tif", moving(6), imagej=True, **size)
    tifffile.imwrite(folder / "tz.tif", np.stack([moving(4)] * 2), imagej=True, metadata={"axes": "TZYX"})
    tifffile.imwrite(folder / "cut.tif", moving(6), metadata={"axes": "ZYX"})
    cut = (folder / "cut.tif").read_bytes()
    (folder / "cut.tif").write_bytes(cut[: len(cut) // 2])
    iio.imwrite(folder / "one.png", moving(2)[0])
    extras = ("coco", "geojson", "overlays", "semantic")
    report = segment_folder(folder, out, extras=extras)
    assert (report.images, report.objects) == (3, 2 + 4 + 2) and [name for name, _ in report.failed] == ["cut.tif"]
    labels = tifffile.imread(out / "z.tif")
    assert labels.dtype == np.uint16 and np.array_equal(labels > 0, moving(6) > 128)
    for where in ("z.tif", "semantic/z.tif", "overlays/z.tif"):
        assert (pixel_size(out / where), voxel_depth(out / where)) == ((0.5, 0.5), 3)
    assert [sorted(np.unique(plane)) for plane in labels] == [[0, 1, 2]] * 3 + [[0, 1]] * 3
    assert planes_of(out / "z.tif") == ("z", (6,)) and planes_of(out / "tz.tif") == ("tz", (2, 4))
    both = tifffile.imread(out / "tz.tif")
    assert np.array_equal(both[1], np.where(both[0] > 0, both[0] + 2, 0)) and both.max() == 4
    assert np.array_equal(tifffile.imread(out / "semantic/z.tif"), labels > 0)
    found = [(row["label"], row["plane"]) for row in rows(out) if row["image"] == "z.tif"]
    assert sorted(found) == [("1", str(k)) for k in range(6)] + [("2", str(k)) for k in range(3)]
    where = {row["plane"] for row in rows(out) if row["image"] == "tz.tif"}
    assert where == {f"{t},{z}" for t in range(2) for z in range(4)}
    summary = {row["image"]: row for row in rows(out, "summary.csv")}
    assert (summary["tz.tif"]["planes"], summary["tz.tif"]["objects"], summary["one.png"]["planes"]) == ("8", "4", "1")
    assert float(summary["z.tif"]["covered"]) == pytest.approx(900 / (6 * 40 * 60))
    drawn = tifffile.imread(out / "overlays/z.tif")
    assert drawn.shape == (6, 40, 60, 3) and planes_of(out / "overlays/tz.tif") == ("tz", (2, 4))
    assert np.array_equal((drawn == OUTLINE).all(-1), [find_boundaries(plane, mode="inner") for plane in labels])
    check_coco(out, labels, both)
    check_linked(out, labels, both)
    shapes = json.loads((out / "tz.geojson").read_text())["features"]
    told = shapes[-1]["properties"]
    assert len(shapes) == 2 * (4 + 2) and (told["name"], told["t"], told["z"]) == ("3", 1, 3)
    assert shapes[-1]["geometry"]["plane"] == {"c": -1, "z": 3, "t": 1}
    corners, pixels = np.array(shapes[-1]["geometry"]["coordinates"][0]), np.argwhere(both[1, 3] == 3)[:, ::-1]
    assert np.array_equal([corners.min(0), corners.max(0)], [pixels.min(0), pixels.max(0) + 1])
    (folder / "cut.tif").unlink()
    SEEN.clear()
    again = segment_folder(folder, out, extras=extras, resume=True)
    assert (again.images, again.objects) == (3, 8) and not SEEN
    assert not list(out.glob(".*"))
    png = segment_folder(folder, tmp_path / "png", format="png")
    assert len(png.failed) == 2 and "PNG" in png.failed[0][1] and png.images == 1


def test_a_linked_object_has_the_class_of_most_planes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def segment(self: Model, rgb: np.ndarray) -> AutoMasks:
        labels = label(rgb[..., 0] > 128).astype(np.int32)
        SEEN.append(1)
        return AutoMasks(labels, np.ones(labels.max()), np.full(labels.max(), 1 + (len(SEEN) != 2)))

    monkeypatch.setattr(Model, "segment", segment)
    monkeypatch.setattr(Model, "classes", ("leaf", "root"))
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in/z.tif", moving(3)[:, :20], imagej=True, metadata={"axes": "ZYX"})
    segment_folder(tmp_path / "in", tmp_path / "out", extras=("semantic",))
    assert [row["class"] for row in rows(tmp_path / "out")] == ["root"] * 3
    assert sorted(np.unique(tifffile.imread(tmp_path / "out/semantic/z.tif"))) == [0, 2]


def test_label_images_can_be_ome_zarr(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    large = np.zeros((40, 2100), np.uint8)
    large[5:15, 8:18], large[20:30, 2000:2040] = 200, 200
    tifffile.imwrite(folder / "large.tif", large, resolution=(20000, 20000), resolutionunit="CENTIMETER")
    write_zarr(folder / "stack.zarr", [moving(4)], "zyx", 3)
    options = {"format": "zarr", "extras": ("semantic", "coco")}
    report = segment_folder(folder, out, **options)
    assert (report.images, report.objects, report.failed) == (2, 4, [])
    assert picture_size(out / "large.zarr") == (40, 2100) and pixel_size(out / "large.zarr") == (0.5, 0.5)
    levels = [np.asarray(level) for level in open_picture(out / "large.zarr", whole_below=0).levels]
    assert [level.shape for level in levels] == [(40, 2100), (20, 1050), (10, 525)]
    assert np.array_equal(levels[0] > 0, large > 128) and levels[0].dtype == np.int32 and levels[0].max() == 2
    assert np.array_equal(levels[2], levels[0][::4, ::4])
    assert planes_of(out / "stack.zarr") == ("z", (4,))
    assert np.array_equal(read_ngff(out / "stack.zarr") > 0, moving(4) > 128)
    assert np.array_equal(read_ngff(out / "stack.zarr", "classes"), moving(4) > 128)
    described = json.loads((out / "stack.zarr/labels/zarr.json").read_text())
    assert described["attributes"]["ome"] == {"version": "0.5", "labels": ["objects", "classes"]}
    coco = json.loads((out / "coco.json").read_text())
    assert len(coco["annotations"]) == 2 + (4 + 2)
    SEEN.clear()
    assert segment_folder(folder, out, resume=True, **options).objects == 4 and not SEEN
    chunk = next(file for file in sorted((out / "large.zarr/labels/objects/0/c").rglob("*")) if file.is_file())
    chunk.unlink()
    assert segment_folder(folder, out, resume=True, **options).objects == 4 and len(SEEN) == 1
    assert chunk.is_file() and sorted(path.name for path in out.iterdir() if path.name.startswith(".")) == []


@pytest.mark.parametrize("broken", [False, True])
def test_images_that_are_segmented_at_once_are_all_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    """As on a GPU: three of them together; where that fails, one by one."""
    sizes: list[int] = []

    def each(self: Model, images: Iterable[np.ndarray]) -> Iterator[AutoMasks]:
        found = [self.segment(rgb) for rgb in images]
        sizes.append(len(found))
        if broken:
            raise RuntimeError("out of memory")
        return iter(found)

    monkeypatch.setattr(Model, "batch", 3)
    monkeypatch.setattr(Model, "segment_each", each)
    (folder / "broken.png").write_bytes(b"nonsense")
    report = segment_folder(folder, tmp_path / "out", recursive=True)
    assert (report.images, report.objects) == (5, 15) and [name for name, _ in report.failed] == ["broken.png"]
    assert sizes == [2, 3] and len(SEEN) == 5 + 5 * broken
    assert [row["objects"] for row in rows(tmp_path / "out", "summary.csv") if row["status"] == "done"] == list("12345")
