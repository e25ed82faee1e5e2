"""What is exported is read by the libraries of others, and comes back as it was."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import roifile
import shapely
import tifffile
import yaml
import zarr
from PIL import Image
from pycocotools.coco import COCO
from skimage.draw import polygon2mask

from naslora_napari.store import Project
from naslora_napari.store.formats import FORMATS, export_project, import_labels
from naslora_trainer.images import read_image

WRITABLE = [name for name, found in FORMATS.items() if found.write is not None]
WITH_CLASSES = {"coco", "yolo", "geojson", "imagej"}


def objects_of(project: Project, name: str) -> set[tuple[bytes, str]]:
    """Return the pixels and the class of each object, whatever its number."""
    names = {info.id: info.name for info in project.classes}
    annotation = project.annotation(name)
    return {
        (np.packbits(annotation.labels == key).tobytes(), names[info.class_id])
        for key, info in annotation.objects.items()
    }


def masks_of(project: Project, name: str) -> Iterator[tuple[int, np.ndarray]]:
    annotation = project.annotation(name)
    yield from ((key, annotation.labels == key) for key in sorted(annotation.objects))


@pytest.mark.parametrize("format", [name for name in WRITABLE if name != "coco-polygons"])
def test_every_pixel_comes_back(full: Project, empty: Project, tmp_path: Path, format: str) -> None:
    exported = export_project(full, format, tmp_path / "out")
    assert (exported.images, exported.objects) == (2, full.summary().objects) and Path(exported.out).exists()
    report = import_labels(empty, exported.out, complete=True)
    assert not report.skipped and report.format == format
    assert (len(report.images), report.objects) == (2, exported.objects)
    for entry in empty.images:
        new, old = objects_of(empty, entry.name), objects_of(full, entry.name)
        assert {mask for mask, _ in new} == {mask for mask, _ in old}
        assert empty.annotation(entry.name).complete
        assert {info.source for info in empty.annotation(entry.name).objects.values()} == {"import"}
        if format in WITH_CLASSES:
            assert new == old
    if format in WITH_CLASSES - {"yolo"}:  # which has no colours
        colors = {info.name: info.color for info in empty.classes}
        assert all(colors[info.name] == info.color for info in full.classes)


def test_coco_with_polygons_comes_back(full: Project, empty: Project, tmp_path: Path) -> None:
    exported = export_project(full, "coco-polygons", tmp_path / "out")
    report = import_labels(empty, exported.out)
    assert report.format == "coco" and not report.skipped
    assert all(objects_of(empty, entry.name) == objects_of(full, entry.name) for entry in empty.images)


@pytest.mark.parametrize("format", ["coco", "coco-polygons"])
def test_coco_is_read_by_pycocotools(full: Project, tmp_path: Path, format: str) -> None:
    coco = COCO(export_project(full, format, tmp_path / "out.json").out)
    names = {c["id"]: c["name"] for c in coco.loadCats(coco.getCatIds())}
    assert names == {info.id: info.name for info in full.classes}
    for entry, image in zip(full.images, coco.loadImgs(coco.getImgIds()), strict=True):
        assert image["file_name"] == entry.path.name
        theirs = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
        for annotation, (key, mask) in zip(theirs, masks_of(full, entry.name), strict=True):
            assert np.array_equal(coco.annToMask(annotation), mask)
            assert annotation["category_id"] == full.annotation(entry.name).objects[key].class_id
            assert annotation["area"] == mask.sum()
            x, y, width, height = annotation["bbox"]
            assert mask[y : y + height, x : x + width].sum() == mask.sum() and mask[y].any() and mask[:, x].any()


def test_geojson_is_read_by_shapely(full: Project, tmp_path: Path) -> None:
    out = Path(export_project(full, "geojson", tmp_path / "out").out)
    for entry in full.images:
        content = json.loads((out / f"{entry.name}.geojson").read_text(encoding="utf-8"))
        for feature, (key, mask) in zip(content["features"], masks_of(full, entry.name), strict=True):
            shape = shapely.from_geojson(json.dumps(feature["geometry"]))
            assert shape.is_valid and shape.area == mask.sum() and feature["properties"]["name"] == str(key)
            rows, cols = np.mgrid[: mask.shape[0], : mask.shape[1]]
            assert np.array_equal(shapely.contains_xy(shape, cols + 0.5, rows + 0.5), mask)
            check_feature(feature)


def check_feature(feature: dict[str, Any]) -> None:
    """Check an object by RFC 7946, and by what QuPath reads of it."""
    assert feature["type"] == "Feature" and feature["properties"]["objectType"] == "annotation"
    classification = feature["properties"]["classification"]
    assert classification.keys() == {"name", "color"} and classification["name"]
    assert len(classification["color"]) == 3 and all(0 <= value <= 255 for value in classification["color"])
    kind, coordinates = feature["geometry"]["type"], feature["geometry"]["coordinates"]
    for polygon in {"Polygon": [coordinates], "MultiPolygon": coordinates}[kind]:
        for number, ring in enumerate(polygon):
            assert len(ring) >= 4 and ring[0] == ring[-1] and all(len(corner) == 2 for corner in ring)
            assert shapely.LinearRing(ring).is_ccw == (number == 0), "the area is on the left of its outline"


def test_regions_are_read_by_roifile(full: Project, tmp_path: Path) -> None:
    """Even and odd rings, drawn by scikit-image, whose pixel centres are whole numbers."""
    out = Path(export_project(full, "imagej", tmp_path / "out").out)
    for entry in full.images:
        rois = roifile.roiread(out / f"{entry.name}.zip")
        assert isinstance(rois, list)
        for roi, (key, mask) in zip(rois, masks_of(full, entry.name), strict=True):
            drawn = np.zeros(mask.shape, bool)
            for ring in roi.coordinates(multi=True):
                drawn ^= polygon2mask(mask.shape, np.asarray(ring, float)[:, ::-1] - 0.5)
            assert np.array_equal(drawn, mask) and roi.name.endswith(f"-{key}")
            rows, cols = np.nonzero(mask)
            assert (roi.top, roi.left) == (rows.min(), cols.min())
            assert (roi.bottom, roi.right) == (rows.max() + 1, cols.max() + 1)
            assert roifile.ImagejRoi.frombytes(roi.tobytes()) == roi


def test_yolo_is_as_it_is_documented(full: Project, tmp_path: Path) -> None:
    """Lines of a class and shares of width and height; drawn by Pillow's own rule, which colours the edges, too."""
    out = Path(export_project(full, "yolo", tmp_path / "out").out)
    assert yaml.safe_load((out / "data.yaml").read_text(encoding="utf-8"))["names"] == dict(
        enumerate(info.name for info in full.classes)
    )
    for entry in full.images:
        assert iio.imread(out / "images" / f"{entry.name}.png").shape == (90, 70, 3)
        lines = (out / "labels" / f"{entry.name}.txt").read_text().splitlines()
        for line, (key, mask) in zip(lines, masks_of(full, entry.name), strict=True):
            number, *shares = line.split()
            assert int(number) == full.annotation(entry.name).objects[key].class_id - 1
            points = np.array(shares, float).reshape(-1, 2)
            assert points.min() >= 0 and points.max() <= 1
            drawn = polygon2mask(mask.shape, points[:, ::-1] * mask.shape - 0.5)
            assert np.count_nonzero(drawn != mask) <= 0.2 * mask.sum()


def test_label_images_and_pairs_are_plain_tiffs(full: Project, tmp_path: Path) -> None:
    export_project(full, "labels", tmp_path / "labels")
    export_project(full, "pairs", tmp_path / "pairs")
    for entry in full.images:
        for path in (tmp_path / "labels" / f"{entry.name}.tif", tmp_path / "pairs" / "masks" / f"{entry.name}.tif"):
            stored = tifffile.imread(path)
            assert stored.dtype == np.uint16 and np.array_equal(stored, full.annotation(entry.name).labels)
        pixels = tifffile.imread(tmp_path / "pairs" / "images" / f"{entry.name}.tif")
        assert np.array_equal(pixels, read_image(entry.path))


def test_ids_of_label_images_stay(full: Project, empty: Project, tmp_path: Path) -> None:
    import_labels(empty, export_project(full, "labels", tmp_path / "labels").out)
    for entry in empty.images:
        assert np.array_equal(empty.annotation(entry.name).labels, full.annotation(entry.name).labels)


def test_labels_with_large_numbers_are_32_bits(full: Project, tmp_path: Path) -> None:
    entry = full.images[0]
    labels = full.annotation(entry.name).labels
    labels[labels == 300] = 100_000
    other = Project.create(tmp_path / "large", [entry.path])
    other.import_labels(entry.name, labels, False)
    export_project(other, "labels", tmp_path / "labels")
    assert np.array_equal(tifffile.imread(tmp_path / "labels" / f"{entry.name}.tif"), labels)


def test_the_data_science_bowl(full: Project, empty: Project, tmp_path: Path) -> None:
    root = tmp_path / "stage1_train"
    for entry in full.images:
        (root / entry.name / "images").mkdir(parents=True)
        (root / entry.name / "masks").mkdir()
        iio.imwrite(root / entry.name / "images" / f"{entry.name}.png", read_image(entry.path))
        for key, mask in masks_of(full, entry.name):
            iio.imwrite(root / entry.name / "masks" / f"{key:03d}.png", mask.astype(np.uint8) * 255)
    new = Project.create(tmp_path / "new")
    report = import_labels(new, root, complete=True)
    assert report.format == "dsb" and report.added_images == ["a", "b.v2"] and not report.skipped
    assert import_labels(empty, root / "a").format == "pairs"  # one folder could be either
    for entry in full.images:
        assert {m for m, _ in objects_of(new, entry.name)} == {m for m, _ in objects_of(full, entry.name)}


def test_labelme(full: Project, empty: Project, tmp_path: Path) -> None:
    """Polygons, a group of pieces, a rectangle, a circle and a mask."""
    encoded = io.BytesIO()
    mask = np.random.default_rng(0).random((9, 11)) > 0.4
    Image.fromarray(mask).save(encoded, "PNG")
    shapes = [
        {"label": "leaf", "shape_type": "polygon", "points": [[2, 3], [12, 3], [12, 20], [2, 20]], "group_id": None},
        {"label": "leaf", "shape_type": "rectangle", "points": [[20, 3], [15, 9.6]], "group_id": 4},
        {"label": "leaf", "shape_type": "polygon", "points": [[30, 3], [34, 3], [34, 5], [30, 5]], "group_id": 4},
        {"label": "spot", "shape_type": "circle", "points": [[50, 50], [50, 58]]},
        {"label": "spot", "shape_type": "mask", "points": [[20, 60], [30, 68]],
         "mask": base64.b64encode(encoded.getvalue()).decode()},
        {"label": "spot", "shape_type": "point", "points": [[1, 1]]},
        {"label": "spot", "shape_type": "polygon", "points": [[float("nan"), 3], [12, 3], [12, 20]]},
    ]  # fmt: skip
    path = empty.images[0].path.with_suffix(".json")
    path.write_text(json.dumps({"version": "5.4.1", "shapes": shapes, "imagePath": "a.png", "imageData": None,
                                "imageHeight": 90, "imageWidth": 70}))  # fmt: skip
    report = import_labels(empty, path)
    assert report.format == "labelme" and report.objects == 4 and "2 left out" in report.images[0].notes[0]
    labels = empty.annotation("a").labels
    assert (labels == labels[3, 2]).sum() == 170 and labels[3, 2] and not labels[2, 2] and not labels[3, 12]
    pieces = labels == labels[4, 17]
    assert pieces[3:10, 15:20].all() and pieces[3:5, 30:34].all() and pieces.sum() == 35 + 8
    assert (labels == labels[50, 50]).sum() == pytest.approx(np.pi * 64, rel=0.05)
    assert np.array_equal(labels[60:69, 20:31] > 0, mask)
    assert report.added_classes == ["leaf", "spot"]


def test_commits_of_micro_sam(full: Project, empty: Project, tmp_path: Path) -> None:
    labels = full.annotation("a").labels
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    stored = group.create_array("committed_objects", shape=labels.shape, chunks=(64, 64), dtype="uint32")
    stored[...] = labels
    group.create_group("prompts")
    report = import_labels(empty, tmp_path / "a.zarr")
    assert report.format == "micro-sam" and np.array_equal(empty.annotation("a").labels, labels)


def test_masks_of_cellpose(full: Project, empty: Project, tmp_path: Path) -> None:
    for entry in full.images:
        masks = full.annotation(entry.name).labels.astype(np.uint16)
        np.save(entry.path.parent / f"{entry.path.stem}_seg.npy", {"masks": masks, "filename": "/far/x.png"})  # type: ignore
    new = Project.create(tmp_path / "new")
    report = import_labels(new, full.images[0].path.parent)
    assert report.format == "cellpose" and report.added_images == ["a", "b.v2"] and not report.skipped
    for entry in new.images:
        assert np.array_equal(new.annotation(entry.name).labels, full.annotation(entry.name).labels)


def test_shapes_of_imagej(empty: Project, tmp_path: Path) -> None:
    """A rectangle, an oval, a polygon between pixels; a line is left out. The set without a name needs one image."""
    box = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.RECT, left=5, top=6, right=15, bottom=26)
    oval = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.OVAL, left=30, top=40, right=42, bottom=52)
    free = roifile.ImagejRoi.frompoints(np.array([[50.23, 10.41], [64.8, 12.6], [55.5, 30.1]]))
    line = roifile.ImagejRoi(roitype=roifile.ROI_TYPE.LINE, x1=1, y1=1, x2=9, y2=9)
    roifile.roiwrite(tmp_path / "RoiSet.zip", [box, oval, free, line], name=["1", "2", "3", "4"])
    assert "does not tell its image" in import_labels(empty, tmp_path / "RoiSet.zip").skipped[0][1]
    alone = Project.create(tmp_path / "alone", [empty.images[0].path])
    report = import_labels(alone, tmp_path / "RoiSet.zip")
    assert report.objects == 3 and "line" in report.images[0].notes[0]
    labels = alone.annotation("a").labels
    assert (labels[6:26, 5:15] == 1).all() and (labels == 1).sum() == 200
    assert (labels == 2).sum() == pytest.approx(np.pi * 36, rel=0.05) and labels[40:52, 30:42].any(axis=1).all()
    theirs = shapely.Polygon([[50.23, 10.41], [64.8, 12.6], [55.5, 30.1]])
    rows, cols = np.mgrid[:90, :70]
    assert np.array_equal(labels == 3, shapely.contains_xy(theirs, cols + 0.5, rows + 0.5))


def test_smooth_outlines_of_small_cells_agree_with_shapely(empty: Project, tmp_path: Path) -> None:
    """A circle of 12 pixels, as QuPath writes it, with decimals."""
    circle = shapely.Point(20.3, 30.7).buffer(6)
    classification = {"names": ["Tumor", "Positive"], "colorRGB": -3670016}
    properties = {"objectType": "detection", "classification": classification}
    feature = {"type": "Feature", "geometry": shapely.geometry.mapping(circle), "properties": properties}
    (tmp_path / "a.png.geojson").write_text(json.dumps([feature]))
    report = import_labels(empty, tmp_path / "a.png.geojson")
    rows, cols = np.mgrid[:90, :70]
    mine, theirs = empty.annotation("a").labels > 0, shapely.contains_xy(circle, cols + 0.5, rows + 0.5)
    assert (mine & theirs).sum() / (mine | theirs).sum() > 0.99 and mine.sum() == pytest.approx(circle.area, rel=0.03)
    assert report.added_classes == ["Tumor: Positive"] and empty.classes[-1].color == "#c80000"


def test_crowds_and_boxes_of_coco(empty: Project, tmp_path: Path) -> None:
    shapes: list[dict[str, Any]] = [
        {"iscrowd": 1, "segmentation": {"size": [90, 70], "counts": [90, 180, 6030]}},
        {"segmentation": [], "bbox": [1, 2, 3, 4]},
        {"category_id": 9, "segmentation": [[0, 0, 9, 0, 9, 9, 0, 9], [20, 20, 25, 20, 25, 25]]},
    ]
    coco = {
        "images": [{"id": 1, "file_name": "train/a.png", "height": 90, "width": 70}],
        "categories": [{"id": 3, "name": "cell"}],
        "annotations": [{"id": n, "image_id": 1, "category_id": 3} | shape for n, shape in enumerate(shapes)],
    }
    (tmp_path / "c.json").write_text(json.dumps(coco))
    report = import_labels(empty, tmp_path / "c.json", complete=True)
    (image,) = report.images
    assert image.objects == 2 and image.overlap == 18 and len(image.notes) == 2
    assert not empty.annotation("a").complete  # an object was left out
    assert {info.class_id for info in empty.annotation("a").objects.values()} == {1, 2}
