"""A run folder with a real training that takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from naslora_napari.store import Project
from naslora_resources.samples import sample_folder
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.images import list_images, read_image, read_labels

from ..conftest import PRECISION

NewRun = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A quarter tile with four nuclei, in a folder whose name has a space."""
    folder, source = tmp_path / "with space", sample_folder("labelled")
    folder.mkdir()
    path = list_images(source / "images")[0]
    iio.imwrite(folder / path.name, read_image(path)[:64, :64])
    labels = read_labels(source / "masks" / path.name)[:64, :64]
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    made = Project.create(folder / "p.naslora", list_images(folder))
    kept = np.where(np.isin(labels, np.argsort(-sizes)[:4]), labels, 0).astype(np.int32)
    made.import_labels(made.images[0].name, kept, True)
    return made


@pytest.fixture
def new_run(project: Project, monkeypatch: pytest.MonkeyPatch) -> NewRun:
    """Makes a run whose training takes a second for a few steps."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def make(**settings: object) -> Path:
        tiny = {
            "method": "decoder-only",
            "steps": 5,
            "prompts_per_step": 1,
            "precision": PRECISION,
            "cache_mb": 0,
            "shown_images": 0,
            "interpolate": False,
            "seed_head": False,
        }
        return project.new_run(FineTuneConfig.checked(**tiny | settings))

    return make
