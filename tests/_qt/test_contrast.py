"""The model sees the contrast that the person sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from naslora_napari.store import Project
from naslora_resources.samples import sample_folder
from naslora_trainer.images import read_image
from naslora_trainer.prompts import deepest_point

from .conftest import FIRST, WAIT_MS, Window, large_objects


def test_other_contrast_limits_are_seen_and_kept(closed_window: Window, tmp_path: Path) -> None:
    window = closed_window
    tile = read_image(sample_folder("labelled") / "images" / f"{FIRST}.png")
    gray = tile if tile.ndim == 2 else tile[..., 0]
    tifffile.imwrite(tmp_path / "gray.tif", gray.astype(np.uint16) * 16)
    window.open(tmp_path / "gray.tif")
    picture = window.dock.project.picture("gray")  # type: ignore[union-attr]
    assert np.allclose(window.image.contrast_limits, picture.limits)
    window.click(deepest_point(large_objects()[0]))
    before = window.answer()

    with window.qtbot.waitSignal(window.dock.imageReady, timeout=WAIT_MS):
        window.image.contrast_limits = (0, 900)
    window.settle()
    assert window.answer() is not before and not np.array_equal(window.answer().low_res, before.low_res)
    project = Project.open(window.dock.project.path)  # type: ignore[union-attr]
    assert project.images[0].limits == (0, 900)
    window.open(project.path)
    assert tuple(window.image.contrast_limits) == (0, 900)
