"""An export is there as a whole or not at all, and nothing of a person is overwritten unasked."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import tifffile

from naslora_napari.store import Project
from naslora_napari.store.formats import FORMATS, export_project, scale
from naslora_trainer.errors import UserError

WRITABLE = [name for name, found in FORMATS.items() if found.write is not None]


@pytest.mark.parametrize("format", WRITABLE)
def test_what_is_there_stays(full: Project, tmp_path: Path, format: str) -> None:
    first = Path(export_project(full, format, tmp_path / "new" / "deep").out)
    with pytest.raises(UserError, match="exists already"):
        export_project(full, format, first)
    kept = first / "mine.txt" if first.is_dir() else first.with_name("mine.txt")
    kept.write_text("mine")
    files = sorted(path for path in first.parent.rglob("*"))
    assert export_project(full, format, first, overwrite=True).out == str(first)
    assert kept.read_text() == "mine" and sorted(path for path in first.parent.rglob("*")) == files


def test_a_file_is_no_folder(full: Project, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.json").mkdir()
    for format, out in (("labels", tmp_path / "file"), ("coco", tmp_path / "folder.json")):
        with pytest.raises(UserError, match=f"is a {'file' if out.is_file() else 'folder'}"):
            export_project(full, format, out, overwrite=True)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("format", WRITABLE)
def test_a_failure_leaves_nothing(full: Project, tmp_path: Path, format: str) -> None:
    (full.path / "annotations" / "b.v2.h5").write_bytes(b"damaged")
    with pytest.raises(UserError, match="b.v2"):
        export_project(full, format, tmp_path / "out" / "x")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_is_a_sentence(full: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(scale.tifffile, "imwrite", full_disk)
    with pytest.raises(UserError, match="disk is full"):
        export_project(full, "labels", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_to_export_is_a_sentence(empty: Project, tmp_path: Path) -> None:
    for format in WRITABLE:
        with pytest.raises(UserError, match="no objects"):
            export_project(empty, format, tmp_path / "out")
    with pytest.raises(UserError, match="Choose from"):
        export_project(empty, "labelme", tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_an_image_known_to_be_empty_is_exported(empty: Project, tmp_path: Path) -> None:
    empty.set_complete("a", True)
    report = export_project(empty, "labels", tmp_path / "out")
    assert (report.images, report.objects) == (1, 0)
    assert not tifffile.imread(tmp_path / "out" / "a.tif").any()
    for format in WRITABLE:
        assert export_project(empty, format, tmp_path / format).images == 1
