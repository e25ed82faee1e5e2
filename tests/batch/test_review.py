"""Results of a run are looked through, the most doubtful first; what a person sets and sees is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

from naslora_napari.batch import segment_folder
from naslora_napari.batch.doubt import Limits, doubts, image_doubts
from naslora_napari.batch.found import FoundObjects, FoundRun, read_run
from naslora_napari.batch.ledger import LEDGER, Ledger
from naslora_napari.batch.masks import AutoMasks
from naslora_napari.batch.measure import COLUMNS as MEASURED
from naslora_napari.batch.measure import measure
from naslora_napari.batch.results import Wanted
from naslora_napari.batch.review import COLUMNS, FILE, Review, take_in
from naslora_napari.batch.review_pictures import SIDE, small_picture
from naslora_napari.batch.table import Table
from naslora_napari.batch.work import Model
from naslora_napari.store import Project
from naslora_napari.store.automatic import acceptance
from naslora_trainer.errors import UserError

SHAPE = (60, 80)


def squares(sides: list[int]) -> np.ndarray:
    labels = np.zeros(SHAPE, np.int32)
    for number, side in enumerate(sides, 1):
        labels[20 : 20 + side, 12 * number - 8 : 12 * number - 8 + side] = number
    return labels


def write_run(folder: Path, out: Path, found: dict[str, tuple[np.ndarray, list[float]]], adapter: str = "mine") -> None:
    """Write the results of a run as the run itself does: label images, table, ledger."""
    settings = {"base": "b", "adapter": adapter, "format": "tiff", "extras": []}
    ledger, table = Ledger(out / LEDGER, settings, str(folder)), Table(out / "measurements.csv", MEASURED)
    out.mkdir(exist_ok=True)
    ledger.start()
    table.start()
    for name, (labels, confidence) in found.items():
        image = np.where(labels > 0, 200, 30).astype(np.uint8)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        iio.imwrite(folder / name, image)
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite((out / name).with_suffix(".tif"), labels)
        table.append(measure(name, image, labels, np.array(confidence)))
        ledger.add({"name": name, "stamp": [1, 2], "sizes": [3], "objects": len(confidence)})
    ledger.add({"name": "broken.png", "error": "broken.png is damaged."})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    ordinary = (squares([8, 8, 8]), [0.9, 0.95, 0.9])
    found = {"a.png": ordinary, "sub/b.png": ordinary, "c.png": ordinary, "empty.png": (squares([]), [])}
    found["huge.png"] = (squares([8, 8, 30]), [0.9, 0.9, 0.9])
    found["unsure.png"] = (squares([8, 8, 8, 8]), [0.9, 0.2, 0.9, 0.9])
    write_run(made, tmp_path / "in_segmented", found)
    return made


def test_the_most_doubtful_come_first(folder: Path) -> None:
    run = read_run(folder.with_name("in_segmented"))
    review = Review(run)
    names = [run.names[image] for image in review.order]
    assert set(names[:3]) == {"unsure.png", "huge.png", "empty.png"} and names[0] == "unsure.png"
    assert names[3:] == ["a.png", "sub/b.png", "c.png"], "those that are alike keep their order"
    assert run.folder == folder and run.model == "mine" and run.failed == {"broken.png": "broken.png is damaged."}
    assert run.counts.tolist() == [3, 3, 3, 0, 3, 4] and run.objects.unit == "px" and not run.untold
    assert review.doubtful_in(run.names.index("unsure.png")) == {2}
    assert review.doubtful_in(run.names.index("huge.png")) == {3}


def test_limits_say_what_passes_and_are_kept(folder: Path) -> None:
    out = folder.with_name("in_segmented")
    review = Review(read_run(out))
    assert not review.failing.any() and not review.chosen("failing", "p")
    review.limit(Limits().but("confidence", 0.5, np.inf).but("count", 1, np.inf).but("area", 900, 0))
    review.note(review.order[0], "p", "opened")
    review.save()
    table = {row["image"]: row for row in Table(out / "review.csv", COLUMNS).rows()}
    assert {name for name, row in table.items() if row["passes"] == "0"} == {"unsure.png", "empty.png"}
    assert table["unsure.png"]["failing"] == "1" and table["unsure.png"]["seen"] == "opened"
    review = Review(read_run(out))
    assert review.limits == Limits(area=(0, 900), confidence=(0.5, np.inf), count=(1, np.inf))
    assert {review.run.names[i] for i in review.chosen("failing", "p")} == {"unsure.png", "empty.png"}
    assert len(review.chosen("all", "p")) == 6 and len(review.chosen("new", "p")) == 5
    assert len(review.chosen("new", "another project")) == 6
    assert review.failing_in(review.run.names.index("unsure.png")) == 1
    assert review.values("count").tolist() == [3, 3, 3, 0, 3, 4] and len(review.values("area")) == 16
    (out / "measurements.csv").write_text("image,label\na.png,1\n")
    assert read_run(out).untold and read_run(out).counts.sum() == 0
    again = Review(replace(review.run, editions=tuple("x" * 6)))
    assert len(again.chosen("new", "p")) == 6, "an image that was segmented anew was not seen"


def test_what_was_found_waits_in_the_project_and_overwrites_nothing(folder: Path, tmp_path: Path) -> None:
    review = Review(read_run(folder.with_name("in_segmented")))
    project = Project.create(tmp_path / "p", [folder / "a.png"])
    project.import_labels("a", np.where(squares([8, 8]) == 2, 1, 0).astype(np.int32), complete=False)
    image = review.run.names.index("a.png")
    name = take_in(review, image, project)
    found = project.annotation(name)
    assert name == "a" and [info.source for info in found.objects.values()] == ["import", "automatic", "automatic"]
    assert found.objects[1].source == "import" and found.status.waiting == 2 and found.objects[2].model == "mine"
    project.remove_object(name, 2)
    assert take_in(review, image, project) == name
    assert len(project.annotation(name).objects) == 2, "what the person deleted stays away"
    other = take_in(review, review.run.names.index("unsure.png"), project)
    unsure = project.annotation(other)
    assert [info.review for info in unsure.objects.values()] == ["", "doubtful", "", ""] and unsure.status.waiting == 4
    project.save(other, acceptance(unsure))
    assert [len(np.unique(one.labels)) - 1 for one in project.snapshot(256)] == [1, 4]
    (folder / "c.png").unlink()
    with pytest.raises(UserError, match=r"c.png is not there"):
        take_in(review, review.run.names.index("c.png"), project)
    tifffile.imwrite(folder.with_name("in_segmented") / "huge.tif", np.ones((3, 3), np.int32))
    with pytest.raises(UserError, match="not of the same size"):
        take_in(review, review.run.names.index("huge.png"), project)


@pytest.mark.parametrize("format", ["tiff", "zarr"])
def test_each_plane_of_a_stack_is_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str) -> None:
    monkeypatch.setattr(Model, "load", lambda self: self)
    monkeypatch.setattr(Model, "segment", by_threshold)
    (tmp_path / "in").mkdir()
    stack = np.stack([np.where(squares(sides) > 0, 200, 30) for sides in ([8, 8], [8], [])]).astype(np.uint8)
    tifffile.imwrite(tmp_path / "in" / "s.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    segment_folder(tmp_path / "in", tmp_path / "out", format=format)
    review = Review(read_run(tmp_path / "out"))
    run = review.run
    assert run.names == ("s.tif 0", "s.tif 1", "s.tif 2") and run.counts.tolist() == [2, 1, 0]
    project = Project.create(tmp_path / "p", [])
    for image in (1, 0):
        name = take_in(review, image, project)
        found = project.annotation(name)
        assert found.status.waiting == run.counts[image] and np.array_equal(found.labels > 0, stack[image] > 128)
        assert small_picture(run, image).shape == (*SHAPE, 3)
    assert len(project.images) == 3 and review.chosen("new", str(project.path)) == [2]


def by_threshold(self: Model, rgb: np.ndarray) -> AutoMasks:
    labels = label(rgb[..., 0] > 128).astype(np.int32)
    return AutoMasks(labels, np.full(labels.max(), 0.5))


def test_small_pictures_show_outlines(folder: Path) -> None:
    out = folder.with_name("in_segmented")
    run = read_run(out)
    picture = small_picture(run, 0)
    assert picture.shape == (*SHAPE, 3) and (picture == (255, 220, 0)).all(axis=2).sum() == 3 * 28
    (out / "overlays").mkdir()
    iio.imwrite(out / "overlays" / "a.png", np.full((600, 400, 3), 7, np.uint8))
    assert small_picture(run, 0).shape == (SIDE, SIDE * 2 // 3, 3)
    big = np.zeros((2, 3000), np.int32)
    tifffile.imwrite(out / "c.tif", big)
    iio.imwrite(folder / "c.png", big.astype(np.uint8))
    assert small_picture(run, run.names.index("c.png")).shape[1] <= SIDE


def made(areas: np.ndarray, confidence: np.ndarray, border: np.ndarray) -> FoundObjects:
    number = np.arange(len(areas), dtype=np.int32)
    return FoundObjects(number // 3, number + 1, areas, "px", confidence, border, number * 0, ("",))


@given(st.lists(st.tuples(st.floats(1, 1e9), st.floats(0, 1) | st.just(np.nan), st.booleans()), max_size=40))
def test_doubts_are_shares_and_grow_with_what_makes_doubtful(found: list[tuple[float, float, bool]]) -> None:
    areas, sure, border = (np.array([row[k] for row in found], kind) for k, kind in enumerate((float, float, bool)))
    objects = made(areas, sure, border)
    of_objects = doubts(objects)
    assert ((of_objects >= 0) & (of_objects <= 1)).all()
    for worse in (made(areas, sure / 2, border), made(areas, sure, np.ones_like(border))):
        assert (doubts(worse) >= of_objects - 1e-12).all()
    names = tuple(map(str, range(len(found) // 3 + 1)))
    run = FoundRun(Wanted(Path()), None, "", names, names, ((),) * len(names), names, {}, objects)
    of_images = image_doubts(run, of_objects)
    assert ((of_images >= 0) & (of_images <= 1)).all()
    assert all(of_images[i] >= of_objects[run.of(i)].min(initial=0) - 1e-12 for i in range(len(names)))


NAMES = st.sampled_from(["a.png", "../a.png", "/etc/passwd", "", "C:/x.png", "b\\..\\..\\c", "a\0", "\ud800", "b"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
CELLS = st.sampled_from(["a.png", "b", "1", "-1", "2147483648", "nan", "inf", "1e999", "", "²", "0.5", '"'])


@settings(max_examples=40)
@given(st.data())
def test_hostile_results_are_refused_or_left_out(data: st.DataObject) -> None:
    with TemporaryDirectory() as place:
        out = Path(place)
        ledger = Ledger(out / LEDGER, {"format": data.draw(JSON)}, data.draw(NAMES))
        ledger.start()
        for name in data.draw(st.lists(NAMES, max_size=4)):
            ledger.add({"name": name, "objects": data.draw(JSON)})
        rows = data.draw(st.lists(st.lists(CELLS, min_size=len(MEASURED), max_size=len(MEASURED)), max_size=4))
        text = "\n".join(",".join(row) for row in [list(MEASURED), *rows]) + "\n"
        (out / "measurements.csv").write_text(text, encoding="utf-8")
        kept: dict[str, Any] = {"naslora_review": 1, "limits": data.draw(JSON), "seen": data.draw(JSON)}
        limit = st.none() | st.integers() | st.floats()
        kept["limits"] = data.draw(st.just(kept["limits"]) | st.fixed_dictionaries({"area": st.lists(limit)}))
        (out / FILE).write_text(json.dumps(kept))
        try:
            run = read_run(out)
        except UserError:
            return
        assert set(run.names) <= {"a.png", "b"} and (run.objects.area > 0).all()
        assert set(run.objects.image.tolist()) <= set(range(len(run.names)))
        review = Review(run)
        assert sorted(review.order) == list(range(len(run.names)))
        review.limit(review.limits)
        review.save()
        assert Review(run).limits == review.limits
