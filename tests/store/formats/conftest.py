"""A project whose objects touch, lie in pieces and have holes."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from naslora_napari.store import ObjectInfo, Project
from naslora_napari.store.edits import Edit

SHAPE = (90, 70)


def blobs(seed: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Return labels: small objects, some that touch, one with a hole, one in pieces of which two touch at a corner."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    field = gaussian_filter(rng.random(shape), 2.5)
    labels[:50] = np.where(field > np.quantile(field, 0.55), 1 + (field > np.quantile(field, 0.8)), 0)[:50]
    labels[52:64, 3:15], labels[55:60, 6:11] = 7, 0  # a hole
    labels[52:64, 15:27] = 8  # touches
    labels[70:74, 40:44] = labels[74:78, 44:48] = labels[84:88, 60:66] = 12
    labels[80:84, 5:8] = 300
    return labels


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "images"
    folder.mkdir()
    paths = [folder / name for name in ("a.png", "b.v2.tif")]
    for path in paths:
        iio.imwrite(path, np.random.default_rng(1).integers(0, 255, SHAPE).astype(np.uint8))
    return paths


@pytest.fixture
def full(tmp_path: Path, images: list[Path]) -> Project:
    """Two images with objects of two classes."""
    project = Project.create(tmp_path / "full.naslora", images, ["nucleus", 'lésion, "old"'])
    for seed, entry in enumerate(project.images):
        labels = blobs(seed)
        rows, cols = (axis.astype(np.int32) for axis in np.nonzero(labels))
        infos = {key: (None, ObjectInfo(1 + key % 2)) for key in np.unique(labels[labels > 0]).tolist()}
        project.save(entry.name, Edit(rows, cols, np.zeros(len(rows), np.int32), labels[rows, cols], infos))
    return project


@pytest.fixture
def empty(tmp_path: Path, images: list[Path]) -> Project:
    """The same images without objects."""
    return Project.create(tmp_path / "empty.naslora", images, ["object"])
