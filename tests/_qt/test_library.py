"""The dialog of models in a real window: use, back to the base, names, files of others, what a project remembers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from qtpy.QtCore import Qt
from segment_anything.modeling import Sam

from naslora_napari._qt import training
from naslora_napari._qt.base_dialog import AddedModelDialog
from naslora_napari._qt.library_dialog import BASE, NAME, LibraryDialog
from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.adapter import Adapter, AdapterMeta
from naslora_trainer.base import fingerprint

from .conftest import FIRST, WAIT_MS, Window, messages

LEFT = Qt.MouseButton.LeftButton


def an_adapter(sam: Sam, shift: float, day: int) -> Adapter:
    """It shifts the mask decoder's answer so that every mask is another one."""
    tensors = {"decoder.output_upscaling.3.bias": torch.full((32,), shift)}
    report = {
        "better": shift > 0, "reason": f"The shift is {shift}.", "objects": {"train": 6, "validation": 2}, "images": 3,
        "validation": {"click": {"before": 0.5, "after": 0.6}, "box": {"before": 0.8, "after": 0.8}},
    }  # fmt: skip
    meta = AdapterMeta(
        base=DEFAULT_MODEL, fingerprint=fingerprint(sam), method="decoder-only", rank=1, report=report,
        created=f"2026-11-{day:02d}T10:00:00+00:00",
    )  # fmt: skip
    return Adapter(tensors, meta)


@pytest.fixture
def models(window: Window, base_sam: Sam) -> LibraryDialog:
    """The dialog of a project with two adapters."""
    project = window.dock.project
    assert project is not None
    (project.path / "adapters").mkdir()
    for key, shift, day in (("good", 0.3, 1), ("bad", -0.3, 2)):
        an_adapter(base_sam, shift, day).save(project.path / "adapters" / f"{key}.safetensors")
    window.qtbot.mouseClick(window.dock.train_panel.models_button, LEFT)
    window.settle()
    return window.dock.library.dialog


def use(window: Window, key: str) -> None:
    """Press Use on a model and wait until it answers."""
    dialog = window.dock.library.dialog
    dialog.select([key])
    with window.qtbot.waitSignal(window.dock.training.swapped, timeout=WAIT_MS):
        window.qtbot.mouseClick(dialog.use_button, LEFT)
    window.settle()


def cells(dialog: LibraryDialog, column: int) -> list[str]:
    return [dialog.table.item(row, column).text() for row in range(dialog.table.rowCount())]


def test_every_model_answers_again_bit_by_bit(
    window: Window, models: LibraryDialog, base_sam: Sam, tmp_path: Path
) -> None:
    dock = window.dock
    assert cells(models, NAME) == [DEFAULT_MODEL, "decoder-only, 8 objects", "decoder-only, 8 objects"]
    assert cells(models, 4) == ["in use", "kept aside", "better"] and cells(models, 2) == ["", "0.600", "0.600"]
    assert models.selected() == [BASE] and not models.use_button.isEnabled()
    window.click((64, 64))
    first: dict[str, np.ndarray] = {BASE: window.answer().low_res}
    for key in ("good", "bad"):
        use(window, key)
        first[key] = window.answer().low_res
        assert models.selected() == [key] and not models.delete_button.isEnabled()
        window.until(lambda: "with your adapter decoder-only, 8 objects" in dock.status.model.text())
    assert not np.array_equal(first["good"], first["bad"]) and not np.array_equal(first["good"], first[BASE])
    for key in ("good", BASE, "bad"):
        use(window, key)
        again = window.answer().low_res
        assert torch.equal(torch.from_numpy(again), torch.from_numpy(first[key]))
    assert dock.project is not None and dock.project.library.in_use == dock.training.adapter_path
    window.qtbot.mouseClick(dock.train_panel.rollback_button, LEFT)
    window.until(lambda: dock.training.adapter_path is None)
    window.settle()
    assert np.array_equal(window.answer().low_res, first[BASE]) and dock.project.library.in_use is None
    assert cells(models, 4)[0] == "in use"

    broken, given = tmp_path / "broken.safetensors", tmp_path / "from Ada.safetensors"
    broken.write_bytes(b"no")
    an_adapter(base_sam, 0.1, 3).save(given)
    for path in (broken, given):
        models.import_asked.emit(path)
    window.until(lambda: models.table.rowCount() == 4)
    window.settle()
    assert cells(models, NAME)[1] == "from Ada" and cells(models, 4)[1] == "imported"
    assert any("broken.safetensors is damaged" in message for message in messages())
    models.renamed.emit("good", "leaves")
    window.until(lambda: cells(models, NAME)[3] == "leaves")
    models.select(["bad"])
    window.qtbot.mouseClick(models.delete_button, LEFT)
    window.until(lambda: models.table.rowCount() == 3)
    assert (dock.project.path / "adapters" / "deleted" / "bad.safetensors").is_file()
    assert not dock.train_panel.rollback_button.isVisible()  # it went back to the one that was deleted


def test_a_project_that_is_opened_again_has_its_model(window: Window, models: LibraryDialog, tmp_path: Path) -> None:
    dock, project = window.dock, window.dock.project
    assert project is not None
    assert not dock.train_panel.go_on.isEnabled()
    use(window, "good")
    models.renamed.emit("good", "leaves")
    window.until(lambda: f"{DEFAULT_MODEL} with your adapter leaves" in dock.status.model.text())
    version = dock.predictor.version
    assert dock.train_panel.go_on.isEnabled() and not dock.train_panel.goes_on
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.png").write_bytes((window.folder / f"{FIRST}.png").read_bytes())
    dock.train_panel.view.show()
    window.open(other)
    assert dock.train_panel.view.isHidden()  # that training was of the other project
    assert dock.predictor.version == DEFAULT_MODEL and dock.training.adapter_path is None
    assert cells(models, NAME) == [DEFAULT_MODEL] and dock.train_panel.rollback_button.isHidden()
    window.open(project.path)
    assert dock.predictor.version == version and cells(models, 4)[2] == "in use"
    window.click((64, 64))
    assert window.answer().version == version
    with (project.path / "adapters" / "good.safetensors").open("r+b") as file:
        file.truncate(100)
    window.open(other)
    window.open(project.path)
    assert dock.predictor.version == DEFAULT_MODEL and any("good.safetensors is damaged" in m for m in messages())


def test_a_model_of_ones_own_answers_and_is_remembered(
    window: Window, models: LibraryDialog, config_folder: Path, litemedsam: Sam, tmp_path: Path
) -> None:
    dock, bases = window.dock, window.dock.library.bases
    torch.save(litemedsam.state_dict(), tmp_path / "own.pth")
    window.qtbot.mouseClick(models.base_button, LEFT)
    dialog = bases.dialog
    assert dialog.selected() == DEFAULT_MODEL and not dialog.use_button.isEnabled()
    asked = AddedModelDialog(tmp_path / "own.pth", dialog)
    asked.prompts["point"].setChecked(False)
    asked.accepted.connect(lambda: dialog.add_asked.emit(*asked.chosen))
    asked.accept()
    window.until(lambda: dialog.table.rowCount() == 6)
    dialog.table.selectRow(5)
    assert dialog.selected() == "own" and dialog.remove_button.isEnabled() and not bases.tasks.busy
    with window.qtbot.waitSignal(dock.training.swapped, timeout=WAIT_MS):
        window.qtbot.mouseClick(dialog.use_button, LEFT)
    window.settle()
    assert dock.predictor.version == "own" and dialog.table.item(5, 4).text() == "in use"
    assert not dialog.remove_button.isEnabled() and cells(models, NAME)[0] == "own"
    window.click((64, 64))
    assert window.answer().version == "own" and len(window.answer().candidates) == 9  # a click as boxes
    assert dock.project is not None and dock.project.library.base == "own"
    dialog.table.selectRow(2)
    assert "Download" in dialog.use_button.text() and dialog.table.item(2, 4).text() == "to download, 358 MB"
    use(window, "good")
    assert dock.predictor.base == DEFAULT_MODEL == dock.project.library.base
    window.qtbot.mouseClick(dock.train_panel.rollback_button, LEFT)
    window.until(lambda: dock.predictor.version == "own")
    window.settle()
    assert dock.train_panel.rollback_button.text().startswith("Undo going back")
    window.open(dock.project.path)
    assert dock.predictor.version == "own"


def test_a_better_model_waits_where_the_person_wants_to_be_asked(
    window: Window, models: LibraryDialog, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock = window.dock
    assert dock.project is not None
    monkeypatch.setattr(training, "setting", lambda section, name, default: False)
    run = dock.project.path / "runs" / "x"
    run.mkdir(parents=True)
    (run / "adapter.safetensors").write_bytes((dock.project.path / "adapters" / "good.safetensors").read_bytes())
    dock.training._run_project, dock.training._run_dir = dock.project, run
    with window.qtbot.waitSignal(dock.trained, timeout=WAIT_MS) as ended:
        dock.training._adopt({"event": "result", "better": True, "reason": "It is better."})
    assert not ended.args[0]["swapped"] and dock.predictor.version == DEFAULT_MODEL
    assert "anyway" not in dock.train_panel.force_button.text()
    with window.qtbot.waitSignal(dock.training.swapped, timeout=WAIT_MS):
        window.qtbot.mouseClick(dock.train_panel.force_button, LEFT)
    window.settle()
    assert dock.training.adapter_path == dock.project.library.in_use == dock.project.path / "adapters" / "x.safetensors"
