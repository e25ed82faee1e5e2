"""Cut the sample tiles of ``naslora_resources`` from the nuclei image of the stardist package.

Recipe::

    pip download stardist --no-deps -d /tmp/stardist && unzip -d /tmp/stardist /tmp/stardist/stardist-*.whl
    python benchmarks/make_samples.py /tmp/stardist/stardist/data/images

The 512 px image is scaled to 8 bits by its 0.2 and 99.8 percentiles and cut into 4 x 4 tiles of 128 px. A
checkerboard decides which tile is labelled and which is held out, so that both halves see the whole image.
Objects cut by a tile's border stay; pieces of fewer than 20 px are dropped.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from naslora_resources.samples import sample_folder

SIDE = 128
SMALLEST_PIECE = 20


def main(source: Path) -> None:
    """Write the tiles of ``source/img2d.tif`` and ``source/mask2d.tif`` into the resources package."""
    image = to_8bit(tifffile.imread(source / "img2d.tif"))
    labels = tifffile.imread(source / "mask2d.tif")
    rows, columns = (size // SIDE for size in image.shape)
    for number in range(rows * columns):
        row, column = divmod(number, columns)
        part = sample_folder("labelled" if (row + column) % 2 == 0 else "held_out")
        window = np.s_[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
        write(part / "images" / f"{number:02d}.png", image[window])
        write(part / "masks" / f"{number:02d}.png", relabelled(labels[window]))


def to_8bit(image: NDArray) -> NDArray[np.uint8]:
    """Return the image scaled from its 0.2..99.8 percentiles to 0..255."""
    low, high = np.percentile(image, (0.2, 99.8))
    return (np.clip((image - low) / (high - low), 0, 1) * 255).round().astype(np.uint8)


def relabelled(labels: NDArray) -> NDArray[np.uint16]:
    """Return the labels numbered 1..N without pieces smaller than ``SMALLEST_PIECE`` pixels."""
    ids, sizes = np.unique(labels[labels > 0], return_counts=True)
    result = np.zeros(labels.shape, np.uint16)
    for new_id, old_id in enumerate(ids[sizes >= SMALLEST_PIECE], start=1):
        result[labels == old_id] = new_id
    return result


def write(path: Path, array: NDArray) -> None:
    """Write one PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
