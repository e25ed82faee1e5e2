"""The sample images, in napari's File > Open Sample."""

from __future__ import annotations

import numpy as np

from naslora_resources.samples import sample_folder
from naslora_trainer.images import list_images, read_image, read_labels


def nuclei() -> list[tuple[np.ndarray, dict[str, object], str]]:
    """Return the first labelled tile and its nuclei as napari layers."""
    folder = sample_folder("labelled")
    path = list_images(folder / "images")[0]
    name = f"nuclei {path.stem}"
    return [
        (read_image(path), {"name": name}, "image"),
        (read_labels(folder / "masks" / path.name), {"name": f"{name} (labels)"}, "labels"),
    ]
