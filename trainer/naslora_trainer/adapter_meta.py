"""What an adapter file says of itself, read from its header: no tensor is read, and torch is not needed."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from safetensors import SafetensorError, safe_open

from .data import LONGEST_CLASS
from .errors import UserError

#: Version of the file's layout. 2 can hold a head that finds objects, 3 one that tells classes; older ones are read.
ADAPTER_VERSION = 3
#: A larger file is refused before it is read, in bytes.
MAX_BYTES = 2 * 1024**3
#: A larger header as well; that of a thorough search has some 100 KiB.
MAX_HEADER_BYTES = 16 * 1024**2
#: Nobody trains more; a damaged file must not make a cell that fills the memory.
MAX_RANK = 1024
#: Classes are numbered in a byte, and 0 is background.
MOST_CLASSES = 255


class AdapterMeta(BaseModel):
    """What an adapter says of itself.

    Attributes
    ----------
    version : int
        Of the file's layout.
    base, fingerprint : str
        Id and fingerprint of the base model that it belongs to.
    method, rank : str, int
        How it was trained.
    operations, partial, cell_sees : tuple of str, int, str
        Of its cells (see :class:`FineTuneConfig`); a branch is rebuilt from them.
    prompts : tuple of str
        What the merged model has learned: ``point``, ``box``, ``multimask``
        (see :func:`naslora_trainer.models.learned_prompts`).
    classes : tuple of str
        What its head tells apart, in the order of their numbers from 1 on; empty: it tells no classes.
    architecture : dict
        Probability of each operation, by layer.
    report : dict
        Summary of training, fold and validation.
    created : str
        ISO 8601, UTC.
    """

    model_config = ConfigDict(frozen=True)

    version: int = Field(default=ADAPTER_VERSION, ge=1)
    base: str
    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")
    method: str
    rank: int = Field(ge=1, le=MAX_RANK)
    operations: tuple[str, ...] = ()
    partial: int = Field(default=1, ge=1)
    cell_sees: Literal["window", "map"] = "window"
    prompts: tuple[str, ...] = ("point", "box")
    classes: tuple[Annotated[str, Field(min_length=1, max_length=LONGEST_CLASS)], ...] = Field(
        default=(), max_length=MOST_CLASSES
    )
    architecture: dict[str, dict[str, float]] = Field(default_factory=dict)
    report: dict[str, Any] = Field(default_factory=dict)
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @field_validator("classes")
    @classmethod
    def _classes_apart(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names) or len(names) == 1:
            raise ValueError("classes have to differ")
        for name in names:
            name.encode("utf-8")  # they are written to tables
        return names


@dataclass(frozen=True)
class AdapterHeader:
    """The metadata of an adapter file.

    Attributes
    ----------
    text : str
        Its description as it stands in the file, JSON.
    meta : AdapterMeta
        The same, checked.
    sha256 : str
        What the SHA-256 of text and tensors has to be; empty in the first files, which had none.
    id : str
        What :attr:`naslora_trainer.Adapter.id` has to be; empty in files before there was one.
    size : int
        Of the file, in bytes.
    """

    text: str
    meta: AdapterMeta
    sha256: str
    id: str
    size: int


def read_header(path: Path, called: str = "") -> AdapterHeader:
    """Read and check what an adapter file says of itself.

    Parameters
    ----------
    path : Path
        The file.
    called : str
        How errors name it; by default by its file name.

    Raises
    ------
    UserError
        The file is missing, too large, damaged, not an adapter, or of a newer layout.
    """
    called = called or path.name
    try:
        size = _checked_size(path, called)
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise damaged(called) from error
    meta = _meta_of(metadata, called)
    return AdapterHeader(metadata["naslora"], meta, metadata.get("sha256", ""), metadata.get("id", ""), size)


def damaged(called: str) -> UserError:
    """Return the error of a file that is not what was written."""
    return UserError(f"{called} is damaged or not an adapter file.", "Export it again from where it came from.")


def _checked_size(path: Path, called: str) -> int:
    """Return the size of a file that is not too large, and whose header is not."""
    if not path.is_file():
        raise UserError(f"The adapter {path} does not exist.")
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise damaged(called)
        if found.st_size > MAX_BYTES:
            raise UserError(f"{called} is larger than an adapter can be ({MAX_BYTES // 1024**3} GiB).")
        if int.from_bytes(file.read(8), "little") > MAX_HEADER_BYTES:
            raise damaged(called)
        return found.st_size


def _meta_of(metadata: dict[str, str], called: str) -> AdapterMeta:
    try:
        values = json.loads(metadata["naslora"])
        if isinstance(values, dict) and isinstance(values.get("version"), int) and values["version"] > ADAPTER_VERSION:
            raise UserError(f"{called} was written by a newer naslora-napari.", "Update naslora-napari to use it.")
        return AdapterMeta.model_validate(values)
    except (KeyError, ValueError, RecursionError) as error:  # pydantic's ValidationError is a ValueError
        raise UserError(
            f"{called} is not a naslora-napari adapter.", "Choose a file that Fine-tune or Export made."
        ) from error
