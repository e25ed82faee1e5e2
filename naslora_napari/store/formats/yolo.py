"""YOLO for segmentation: ``labels/NAME.txt``, a line for each object, its class and its outline as shares of the image.

Source: the dataset format that Ultralytics documents; no code of theirs is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import yaml

from naslora_trainer.errors import UserError

from . import checks
from .neutral import Found, Kind, Labelled, Plane, Region, Size, paint
from .outlines import fill, one_ring, outlines

NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
PLAIN_NAMES = "classes.txt"
LARGEST_NAMES = 2**20


def read(path: Path) -> Iterator[Found]:
    """Yield what a text file says about the image of its name."""
    folder = path.parent
    images = [Path(*("images" if part == "labels" else part for part in folder.parts)), folder]
    yield Found(path.stem, partial(_draw, path), None, tuple(images))


def write(images: Iterable[Labelled], folder: Path) -> None:
    """Write the images as the model sees them, a text file for each, and data.yaml.

    The pieces and holes of an object are joined by lines there and back, so that it stays one line.
    """
    for name in ("images", "labels"):
        (folder / name).mkdir()
    names: list[str] = []
    for image in images:
        names = [c.name for c in image.all_classes]
        numbers = {c.id: number for number, c in enumerate(image.all_classes)}
        lines = [f"{numbers[info.id]} {_shares(region, image.labels.shape)}\n" for _, info, region in image.regions()]
        (folder / "labels" / f"{image.name}.txt").write_text("".join(lines), encoding="ascii")
        iio.imwrite(folder / "images" / f"{image.name}.png", image.picture().whole())
    lines = ["path: .\n", "train: images\n", "val: images\n", "names:\n"]
    lines += [f"  {number}: {json.dumps(name)}\n" for number, name in enumerate(names)]  # JSON texts are YAML, too
    (folder / NAMES[0]).write_text("".join(lines), encoding="utf-8")


def _shares(region: Region, shape: tuple[int, ...]) -> str:
    """Return the outline of an object as shares of the image; ten digits are exact to 1e-5 pixels of 100 000."""
    ring = one_ring(outlines(region.mask, region.offset)) / (shape[1], shape[0])
    return " ".join(f"{value:.10g}" for value in ring.ravel())


def _draw(path: Path, size: Size) -> Plane:
    names = _names(path)
    try:
        lines = checks.read_bytes(path).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text file.") from error
    return paint(size, [line.split() for line in lines if line.strip()], partial(_region, names))


def _region(names: dict[int, str], words: list[str], size: Size) -> Region | None:
    number = checks.whole(int(words[0]))
    if len(words) == 5:
        raise ValueError("is a box, no outline")
    values = checks.numbers([float(word) for word in words[1:]])
    if len(values) < 6 or len(values) % 2:
        raise ValueError("has no three points")
    if values.min() < -1 or values.max() > 2:
        raise ValueError("its coordinates are no shares of the image")
    found = fill([[values.reshape(-1, 2) * (size[1], size[0])]], size)
    return None if found is None else Region(*found, Kind(names.get(number, f"class {number}")))


def _names(path: Path) -> dict[int, str]:
    """Return the names of the classes, from a file beside the texts or up to three folders above."""
    for folder in (path.parent, *path.parent.parents[:3]):
        for name in NAMES:
            if (folder / name).is_file():
                return _from_yaml(folder / name)
        if (folder / PLAIN_NAMES).is_file():
            lines = checks.read_bytes(folder / PLAIN_NAMES, LARGEST_NAMES).decode("utf-8", "replace").splitlines()
            return {number: checks.class_name(line) for number, line in enumerate(lines)}
    return {}


def _from_yaml(path: Path) -> dict[int, str]:
    try:
        content: Any = yaml.safe_load(checks.read_bytes(path, LARGEST_NAMES))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is no YAML file.") from error
    names = content.get("names") if isinstance(content, dict) else None
    pairs = enumerate(names) if isinstance(names, list) else names.items() if isinstance(names, dict) else ()
    return {key: checks.class_name(name) for key, name in pairs if type(key) is int and checks.class_name(name)}
