"""The fine-tunes of a project: a folder for each run, and the adapters that were kept."""

from __future__ import annotations

import itertools
import secrets
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage, write_snapshot
from naslora_trainer.errors import UserError
from naslora_trainer.files import not_saved, saving, write_json

ADAPTER = "adapter.safetensors"


def new_run(runs: Path, config: FineTuneConfig, images: Iterable[TrainingImage]) -> Path:
    """Return a new folder in ``runs`` that holds all a training process needs: job.json and data.h5.

    Raises
    ------
    UserError
        There is nothing to learn from, or the folder could not be written; nothing of it is left then.
    """
    images = iter(images)
    first = next(images, None)
    if first is None:
        raise UserError("The project has no labelled objects to learn from.", "Accept a few objects first.")
    run = runs / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    try:
        run.mkdir(parents=True)
        write_snapshot(run / "data.h5", itertools.chain([first], images))
        write_json(run / "job.json", {"config": config.model_dump(mode="json")})
    except BaseException as error:
        shutil.rmtree(run, ignore_errors=True)
        if isinstance(error, OSError):
            raise not_saved(run, error) from error
        raise
    return run


def list_adapters(folder: Path) -> list[Path]:
    """Return the adapter files of a folder, newest first."""
    found = [path for path in folder.glob("*.safetensors") if path.is_file() and not path.name.startswith(".")]
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)


def adopt(run: Path, folder: Path) -> Path:
    """Copy the adapter of a run into ``folder``, at once, under the name of the run, and return the copy.

    Raises
    ------
    UserError
        The run has no adapter, or the copy could not be written.
    """
    source = run / ADAPTER
    if not source.is_file():
        raise UserError(f"{run} has no {ADAPTER}.", "The run was cancelled or has failed; start a new one.")
    target = folder / f"{run.resolve().name}.safetensors"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise not_saved(folder, error) from error
    with saving(target) as temporary:
        shutil.copyfile(source, temporary)
    return target
