"""A training run on disk, from which it goes on as if it had never been interrupted."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .adapter import Adapter
from .config import FineTuneConfig
from .data import TrainingImage
from .errors import UserError
from .files import saving

#: 3 has of the network before the fold its state alone.
VERSION = 3
#: A larger file is refused before it is read, in bytes.
MAX_BYTES = 8 * 1024**3
#: Bytes of the SHA-256 at the beginning of the file.
_DIGEST = 32
_KEYS = {"version", "job", "step", "network", "optimizers", "random", "rest"}


def save_checkpoint(path: Path, job: str, step: int, network: Any, optimizers: Any, rest: dict[str, Any]) -> None:
    """Write a checkpoint atomically.

    Parameters
    ----------
    path : Path
        The file to write.
    job : str
        Identifies settings and data; :func:`load_checkpoint` refuses another one.
    step : int
        Steps done.
    network, optimizers : dict
        Tensors, numbers and containers of them.
    rest : dict
        JSON-able.

    Raises
    ------
    UserError
        The disk is full or read-only; an old file is intact.
    """
    state = {
        "version": VERSION,
        "job": job,
        "step": step,
        "network": network,
        "optimizers": optimizers,
        "random": torch.get_rng_state(),
        "rest": json.dumps(rest),
    }
    payload = io.BytesIO()
    torch.save(state, payload)
    content = payload.getbuffer()
    with saving(path) as temporary, open(temporary, "wb") as file:
        file.write(hashlib.sha256(content).digest())
        file.write(content)


def load_checkpoint(path: Path, job: str) -> dict[str, Any]:
    """Return what :func:`save_checkpoint` wrote, with torch's random state as ``random``; no code is unpickled.

    Raises
    ------
    UserError
        The file is missing, too large, damaged, of another version, or of another job.
    """
    if not path.is_file():
        raise UserError(f"The checkpoint {path} does not exist.")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path.name} is larger than a checkpoint can be ({MAX_BYTES // 1024**3} GiB).")
    broken = UserError(f"The checkpoint {path} is damaged.", "Start the fine-tune again without it.")
    try:
        content = path.read_bytes()
        if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
            raise broken
        state = torch.load(io.BytesIO(content[_DIGEST:]), map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or set(state) != _KEYS or not isinstance(state["version"], int):
            raise broken
        if state["version"] > VERSION:
            raise UserError(f"{path.name} was written by a newer naslora-napari.", "Update naslora-napari to use it.")
        if state["version"] < VERSION:
            raise UserError(f"{path.name} was written by an older naslora-napari.", "Start the fine-tune again.")
        if state["job"] != job:
            raise UserError(
                f"{path.name} belongs to a fine-tune with other settings or labels.",
                "Start again without it, or restore the settings and labels it was made with.",
            )
        state["rest"] = json.loads(state["rest"])
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError) as error:
        raise broken from error
    return state


def job_digest(config: FineTuneConfig, images: Sequence[TrainingImage], start: Adapter | None = None) -> str:
    """Return 64 hex digits that identify settings and data of a fine-tune, and the adapter that it goes on from."""
    settings = config.model_dump(exclude={"cache_mb", "checkpoint_every", "compare_with", "start"})
    digest = hashlib.sha256(json.dumps([settings, start.id if start else ""], sort_keys=True).encode())
    for image in images:
        digest.update(f"|{image.name}|{image.image.shape}|{image.complete}|".encode())
        digest.update(str(image.rois or "").encode())  # without any, that of earlier versions
        digest.update(repr(sorted(image.classes.items())).encode() if image.classes else b"")
        digest.update(np.ascontiguousarray(image.image).data)
        digest.update(np.ascontiguousarray(image.labels).data)
    return digest.hexdigest()
