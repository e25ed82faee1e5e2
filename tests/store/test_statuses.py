"""What lists tell of images: from the files, then from the cache, and never from a stale one."""

from __future__ import annotations

import json
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from naslora_napari.store import ObjectInfo, Project
from naslora_napari.store.records import ImageStatus, Marks, ProjectSummary

SHAPE = (40, 30)
MASK = np.zeros(SHAPE, bool)
MASK[4:9, 5:11] = True


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for k in range(5):
        iio.imwrite(tmp_path / f"{k}.png", np.zeros(SHAPE, np.uint8))
    project = Project.create(tmp_path / "p", [tmp_path / f"{k}.png" for k in range(5)])
    project.add_object("0", MASK, ObjectInfo())
    project.add_object("1", MASK, ObjectInfo(review="doubtful"))
    project.mark("1", complete=True, note="ä", rois=[(1, 2, 3, 4)])
    project.mark("2", skipped=True)
    return project


def cached(project: Project) -> Path:
    return project.path / "cache" / "statuses.json"


def reading(project: Project, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return a list that grows by each annotation file that is opened."""
    opened: list[Path] = []
    read = Project._read_status

    def noted(self: Project, name: str) -> ImageStatus:
        opened.append(Path(name))
        return read(self, name)

    monkeypatch.setattr(Project, "_read_status", noted)
    return opened


def test_the_cache_saves_opening_files(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = reading(project, monkeypatch)
    expected = ProjectSummary(5, 2, 2, 1, 1)
    told: list[str] = []
    assert project.known_summary() == expected == project.summary() and not opened
    cold = Project.open(project.path)
    cached(project).unlink()
    assert cold.known_summary() == ProjectSummary(5, 0, 0, 0)
    assert not cold.refresh(told.extend) and told == ["0", "1", "2"] and len(opened) == 3
    assert cold.known_summary() == expected
    warm = Project.open(project.path)
    assert warm.summary() == expected and len(opened) == 3
    assert warm.status("1") == ImageStatus(1, 1, Marks(True, False, "ä", ((1, 2, 3, 4),)))
    assert [warm.status(image.name).state for image in warm.images] == [
        "in progress", "complete", "skipped", "untouched", "untouched",
    ]  # fmt: skip


def test_what_changed_elsewhere_is_read_again(project: Project) -> None:
    other = Project.open(project.path)
    assert other.summary().objects == 2
    project.add_object("3", MASK, ObjectInfo())
    project.remove_object("0", 1)
    assert other.summary() == project.summary() == ProjectSummary(5, 2, 2, 1, 1)
    (project.path / "annotations" / "3.h5").unlink()
    assert other.summary() == ProjectSummary(5, 1, 1, 1, 1)
    assert other.status("3").state == "untouched"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1, "images": {"0": [1, 2]}}', '{"version": 7}'])
def test_a_damaged_cache_is_made_anew(project: Project, content: str) -> None:
    project.summary()
    cached(project).write_text(content)
    assert Project.open(project.path).summary() == ProjectSummary(5, 2, 2, 1, 1)
    found = json.loads(cached(project).read_text())
    assert set(found["images"]) == {"0", "1", "2"}


def test_a_strangers_cache_counts_only_known_images(project: Project) -> None:
    project.summary()
    found = json.loads(cached(project).read_text())
    found["images"]["../../x"] = found["images"]["1"]
    found["images"]["1"][0] += 1  # of another moment
    cached(project).write_text(json.dumps(found))
    assert Project.open(project.path).summary() == ProjectSummary(5, 2, 2, 1, 1)


def test_a_damaged_file_does_not_hide_the_others(project: Project) -> None:
    project.close()
    for part in ("annotations", "backup/annotations"):
        path = project.path / part / "0.h5"
        if path.exists():
            path.write_bytes(path.read_bytes()[:200])
    cached(project).unlink(missing_ok=True)
    found = Project.open(project.path)
    errors = found.refresh()
    assert list(errors) == ["0"] and "0.h5" in str(errors["0"])
    assert found.known_summary() == ProjectSummary(5, 1, 1, 1, 1)
