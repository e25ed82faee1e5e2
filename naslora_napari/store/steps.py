"""Steps that a person may take back, one small file each, so that undo outlives the program."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from naslora_trainer import hdf5
from naslora_trainer.errors import UserError
from naslora_trainer.prompts import Prompts

from .edits import Edit
from .records import ObjectInfo, prompts_from_json, prompts_to_json

log = logging.getLogger("naslora_napari")

SCHEMA = "naslora-step"
#: 2 has reviews; 1 is still read.
VERSION = 2
KIND = "step of the history"
#: So many steps are kept on disk, of so many bytes together; the oldest are forgotten first.
MOST_STEPS = 200
MOST_BYTES = 64 * 2**20
#: What the arrays of one step may take in memory, in bytes.
LARGEST_STEP = 256 * 2**20
DONE, UNDONE = ".done.h5", ".undone.h5"


@dataclass(frozen=True, eq=False)
class Step:
    """One step on one image.

    Attributes
    ----------
    image : str
        Name of the image.
    prompts : tuple of Prompts
        Before and after.
    edit : Edit
        What changes in the labels.
    """

    image: str
    prompts: tuple[Prompts, Prompts]
    edit: Edit

    @property
    def nbytes(self) -> int:
        """Memory of its pixels and of the masks among its prompts, in bytes."""
        masks = (prompts.mask for prompts in self.prompts if prompts.mask is not None)
        return self.edit.nbytes + sum(mask.nbytes for mask in masks)

    def reversed(self) -> Step:
        """Return the way back."""
        return Step(self.image, self.prompts[::-1], self.edit.reversed())


class StepFiles:
    """The steps of a project on disk. A failure is logged and never ends the work: a step is only forgotten.

    A file is named by its number and by whether the step is done or taken back, so that going back and forth renames
    a file and writes none.

    Parameters
    ----------
    folder : Path
        Where they are; it is made when it is missing.
    images : iterable of str
        Names of the project's images: a step on another image is foreign.
    """

    def __init__(self, folder: Path, images: Iterable[str]) -> None:
        self._folder = folder
        self._images = frozenset(images)

    def listed(self) -> tuple[list[Path], list[Path]]:
        """Return the files of the steps that were done, oldest first, and of those taken back, the next one last."""
        try:
            found = sorted(self._folder.glob("*.h5"), key=lambda path: path.name)
        except OSError:
            return [], []
        done = [path for path in found if path.name.endswith(DONE)]
        return done, [path for path in reversed(found) if path.name.endswith(UNDONE)]

    def write(self, step: Step) -> Path | None:
        """Keep a step as the newest one that was done, and return its file; None when it cannot be kept.

        It is not waited for until it is on the disk: a power failure may cost the history, never labels.
        """
        try:
            self._folder.mkdir(exist_ok=True)
            number = 1 + max((int(path.name.split(".")[0]) for path in self._folder.glob("[0-9]*.h5")), default=0)
            path = self._folder / f"{number:08d}{DONE}"
            temporary = path.with_suffix(".tmp")
            temporary.write_bytes(_to_bytes(step, number))
            os.replace(temporary, path)
        except (OSError, ValueError, RuntimeError) as error:
            log.warning("A step of the history could not be kept: %s", error)
            return None
        return path

    def read(self, path: Path) -> Step | None:
        """Return a step; None, and a line in the log, when its file is damaged or foreign."""
        try:
            with hdf5.reading(path, KIND, SCHEMA, VERSION) as file:
                pixels = hdf5.dataset(file, "pixels", np.dtype("<i4"), None)
                record = hdf5.dataset(file, "record", np.dtype(np.uint8), None)
                if pixels.ndim != 2 or len(pixels) != 4 or record.ndim != 1:
                    raise ValueError("not a step")
                if max(pixels.nbytes, record.nbytes) > LARGEST_STEP:
                    raise ValueError("too large a step")
                found = json.loads(record[()].tobytes())
                if str(found.get("number", "")) not in ("", path.name.split(".")[0].lstrip("0")):
                    raise ValueError("a step of another place")
                step = _from_json(found, pixels[()].astype(np.int32, copy=False))
                if step.image not in self._images:
                    raise ValueError("a step on another project's image")
                return step
        except UserError as error:
            log.warning("A step of the history was dropped: %s", error)
            return None

    def mark(self, path: Path, done: bool) -> Path:
        """Note that a step was taken back or done again, and return the new name of its file."""
        name = path.name.split(".")[0] + (DONE if done else UNDONE)
        with suppress(OSError):
            return path.rename(path.with_name(name))
        return path

    def remove(self, path: Path) -> None:
        """Forget a step."""
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _to_bytes(step: Step, number: int) -> bytes:
    """Return the content of the file of a step, with its number: it is of no use in another place."""
    edit = step.edit
    with hdf5.in_memory(SCHEMA, VERSION) as file:
        pixels = np.stack([edit.rows, edit.cols, edit.before, edit.after]).astype("<i4", copy=False)
        record = np.frombuffer(
            json.dumps(_to_json(step) | {"number": number}, allow_nan=False).encode("ascii"), np.uint8
        )
        hdf5.set_packed(file, "pixels", pixels, 65536)
        hdf5.set_packed(file, "record", record, 65536)
        return hdf5.content(file)


def _to_json(step: Step) -> dict[str, Any]:
    """Return what a step has besides its pixels."""
    objects = {str(key): [_info_to_json(info) for info in infos] for key, infos in step.edit.objects.items()}
    return {"image": step.image, "prompts": [prompts_to_json(prompts) for prompts in step.prompts], "objects": objects}


def _from_json(content: Any, pixels: np.ndarray) -> Step:
    """Return a step, or raise one of the errors of damaged files."""
    first, second = (prompts_from_json(text) or Prompts() for text in content["prompts"])
    objects = {}
    for key, (old, new) in content["objects"].items():
        objects[int(key)] = (_info_from_json(old), _info_from_json(new))
    rows, cols, before, after = pixels
    ahead = (np.diff(rows) > 0) | ((np.diff(rows) == 0) & (np.diff(cols) > 0))
    if not ahead.all() or (pixels < 0).any() or min(objects, default=1) < 1:
        raise ValueError("not a step")
    return Step(content["image"], (first, second), Edit(rows, cols, before, after, objects))


def _info_to_json(info: ObjectInfo | None) -> list[Any] | None:
    """Return a record as JSON values."""
    if info is None:
        return None
    return [
        info.class_id,
        info.source,
        info.model,
        info.time,
        info.annotator,
        prompts_to_json(info.prompts),
        info.review,
    ]


def _info_from_json(values: Any) -> ObjectInfo | None:
    """Return a record of JSON values, or raise one of the errors of damaged files."""
    if values is None:
        return None
    class_id, *texts = values if len(values) == 7 else [*values, ""]  # version 1 has no reviews
    if type(class_id) is not int or len(texts) != 6 or not all(isinstance(text, str) for text in texts):
        raise ValueError("not a record")
    source, model, time, annotator, prompts, review = texts
    return ObjectInfo(class_id, source, model, time, annotator, prompts_from_json(prompts), review)
