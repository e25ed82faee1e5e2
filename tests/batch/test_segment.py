from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from segment_anything.modeling import Sam

from naslora_napari.batch import segment_folder
from naslora_napari.batch.automask import segment_image
from naslora_napari.batch.masks import Mask, paint
from naslora_napari.batch.measure import COLUMNS
from naslora_napari.batch.table import Table
from naslora_resources.samples import sample_folder
from naslora_trainer.errors import UserError
from naslora_trainer.images import list_images, read_image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two small crops of a sample tile, and a broken image."""
    made = tmp_path / "in"
    made.mkdir()
    tile = read_image(list_images(sample_folder("labelled") / "images")[0])
    iio.imwrite(made / "a.png", tile[:48, :48])
    iio.imwrite(made / "b.png", tile[40:88, 40:88])
    (made / "broken.png").write_bytes(b"\x89PNG nonsense")
    return made


def test_a_folder_with_a_broken_image(folder: Path, tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    out = tmp_path / "out"
    report = segment_folder(folder, out, on_event=events.append)
    assert report.images == 2 and [name for name, _ in report.failed] == ["broken.png"]
    rows = list(Table(out / "measurements.csv", COLUMNS).rows())
    total = 0
    for name in ("a", "b"):
        labels = tifffile.imread(out / f"{name}.tif")
        assert labels.dtype == np.uint16 and labels.shape == (48, 48)
        mine = [row for row in rows if row["image"] == f"{name}.png"]
        assert [int(row["area"].split(".")[0]) for row in mine] == [
            int((labels == int(r["label"])).sum()) for r in mine
        ]
        total += int(labels.max())
    assert len(rows) == report.objects == total and tuple(rows[0] if rows else COLUMNS) == COLUMNS
    assert [e["event"] for e in events if e["event"] != "warning"] == ["started", *["progress"] * 3, "result"]
    assert any("broken.png" in e["message"] for e in events if e["event"] == "warning")
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tif")}
    again = segment_folder(folder, out, resume=True)
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("*.tif")} == before
    assert again.objects == report.objects and list(Table(out / "measurements.csv", COLUMNS).rows()) == rows


def test_it_stops_between_images(folder: Path, tmp_path: Path) -> None:
    report = segment_folder(folder, tmp_path / "out", should_stop=lambda: True)
    assert report.cancelled and report.images == 0 and not list((tmp_path / "out").glob("*.tif"))


def test_bad_folders_are_named(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty"):
        segment_folder(tmp_path / "empty", tmp_path / "out")
    iio.imwrite(folder / "a.bmp", np.zeros((8, 8), np.uint8))
    with pytest.raises(UserError, match="a.bmp and a.png|a.png and a.bmp"):
        segment_folder(folder, tmp_path / "out")


def test_a_result_never_overwrites_an_image(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((8, 8), np.uint8))
    with pytest.raises(UserError, match="would overwrite"):
        segment_folder(tmp_path, tmp_path)


def test_the_better_mask_keeps_the_pixels() -> None:
    big, small, everything = np.zeros((10, 10), bool), np.zeros((10, 10), bool), np.ones((10, 10), bool)
    big[:5, :5], small[3:7, 3:7] = True, True
    masks = [Mask(0, 0, mask) for mask in (small, big, everything)]
    found = paint(masks, [0.7, 0.9, 0.99], (10, 10))
    assert (found.labels == 1).sum() == 25 and (found.labels == 2).sum() == 12
    assert found.confidence.tolist() == [0.9, 0.7]


def test_a_model_of_boxes_is_asked_with_boxes(litemedsam: Sam) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    rows, cols = np.mgrid[:64, :64]
    image[(rows - 20) ** 2 + (cols - 20) ** 2 < 100] = 255
    found = segment_image(litemedsam, ("box",), image, grid=4)
    assert found.labels.shape == (64, 64) and len(found.confidence) == found.labels.max()
