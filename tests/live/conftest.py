"""A real image and its labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naslora_resources.samples import sample_folder
from naslora_trainer.images import list_images, read_image, read_labels


@pytest.fixture(scope="session")
def tile() -> Path:
    """The first labelled sample tile."""
    return list_images(sample_folder("labelled") / "images")[0]


@pytest.fixture(scope="session")
def image(tile: Path) -> np.ndarray:
    return read_image(tile)


@pytest.fixture(scope="session")
def labels(tile: Path) -> np.ndarray:
    return read_labels(sample_folder("labelled") / "masks" / tile.name)


@pytest.fixture(scope="session")
def nucleus(labels: np.ndarray) -> np.ndarray:
    """The largest nucleus of the tile."""
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == int(sizes.argmax())
