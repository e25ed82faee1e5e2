"""Search, filter, the next unfinished image, and thumbnails."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from naslora_napari.store.listing import FINISHED, ImageFilter, next_unfinished, progress_text, status_text
from naslora_napari.store.records import ImageEntry, ImageStatus, Marks, ProjectSummary
from naslora_napari.store.thumbnails import SIDE, Thumbnails
from naslora_trainer.pictures import open_picture

STATUSES = {
    "untouched": ImageStatus(),
    "progress": ImageStatus(12, 2, Marks(rois=((0, 0, 4, 4),))),
    "complete": ImageStatus(1, 0, Marks(complete=True, note="Zelle Überlappt")),
    "skipped": ImageStatus(0, 0, Marks(skipped=True)),
}


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        ("", "", list(STATUSES)),
        ("", "unfinished", ["untouched", "progress"]),
        ("", "in progress", ["progress"]),
        ("", "doubtful", ["progress"]),
        ("", "noted", ["complete"]),
        ("überl", "", ["complete"]),
        ("PLATE  ro", "", ["progress"]),
        ("plate", "skipped", ["skipped"]),
        ("zelle", "skipped", []),
    ],
)
def test_what_is_listed(text: str, kind: str, found: list[str]) -> None:
    images = [ImageEntry(name, Path("/data/Plate 7") / f"{name}.tif") for name in STATUSES]
    wanted = ImageFilter(text, kind)
    assert [image.name for image in images if wanted.fits(image, STATUSES[image.name])] == found


@given(st.lists(st.sampled_from(list(STATUSES.values())), max_size=9), st.integers(-1, 9))
def test_the_next_unfinished_image_is_the_first_one_around(statuses: list[ImageStatus], place: int) -> None:
    names = [str(k) for k in range(len(statuses))]
    current = str(place)
    found = next_unfinished(names, lambda name: statuses[int(name)], current)
    open_ones = [k for k in range(len(statuses)) if statuses[k].state not in FINISHED and k != place]
    start = place if 0 <= place < len(statuses) else -1
    later = [k for k in open_ones if k > start]
    assert found == (str((later or open_ones)[0]) if open_ones else "")


def test_numbers_are_told_in_words() -> None:
    assert progress_text(ProjectSummary(120, 34, 1204, 3)) == "34 of 120 images, 1,204 objects"
    assert progress_text(ProjectSummary(1, 1, 1, 0)) == "1 of 1 image, 1 object"
    assert status_text(STATUSES["progress"]) == "in progress, 12 objects, 2 doubtful, 1 labelled area"
    assert status_text(STATUSES["skipped"]) == "skipped"


def test_thumbnails_are_kept_checked_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    iio.imwrite(path, np.tile(np.linspace(0, 255, 300).astype(np.uint8), (200, 1)))
    thumbnails, entry = Thumbnails(tmp_path / "kept"), ImageEntry("a", path, content="5-aa")
    assert thumbnails.get(entry) is None
    made = thumbnails.make(entry, open_picture(path))
    assert made.shape[1:] == (SIDE, 3) and np.array_equal(thumbnails.get(entry), made)  # type: ignore[arg-type]
    assert made[5, 2, 0] < 20 and made[5, -3, 0] > 235
    for other in (ImageEntry("a", path, content="5-bb"), ImageEntry("a", path, (), (0.0, 9.0), content="5-aa")):
        assert thumbnails.get(other) is None
    assert thumbnails.get(ImageEntry("b", tmp_path / "moved.png", content="5-aa")) is not None
    (file,) = (tmp_path / "kept").iterdir()
    whole = file.read_bytes()
    for content in (b"", b"\x89PNG", whole[: len(whole) // 2]):
        file.write_bytes(content)
        assert thumbnails.get(entry) is None
    Image.new("RGB", (5000, 5000)).save(file)
    assert thumbnails.get(entry) is None
    for k in range(6):
        thumbnails.make(ImageEntry(str(k), path, content=f"5-{k}"), open_picture(path))
    thumbnails.prune(most=4)
    assert len(list((tmp_path / "kept").iterdir())) == 4
