"""The fine-tunes of a project: a folder for each run, in which its whole state is, and the adapters that were kept."""

from __future__ import annotations

import itertools
import re
import secrets
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from naslora_trainer.__main__ import ADAPTER, CHECKPOINT, EVENTS, FILES, RUNNER
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage, write_snapshot
from naslora_trainer.errors import UserError
from naslora_trainer.files import not_saved, read_json, saving, write_json

from .locking import SILENT_S, Owner, read_owner
from .run_script import write_script

JOB, DATA = "job.json", "data.h5"
#: Files that say something by being there: it waits for its turn; its adapter was taken over; another computer has it.
WAITING, ADOPTED, AWAY = "waiting", "adopted", "away.json"
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
State = Literal["waiting", "running", "interrupted", "done", "over"]


def new_id() -> str:
    """Return a name for a run; later ones sort after earlier ones."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


def new_run(run: Path, config: FineTuneConfig, images: Iterable[TrainingImage]) -> Path:
    """Return the new folder ``run``, which holds all that a training needs on any computer.

    That is job.json, data.h5, the adapters that the settings name, and run.sh.

    Raises
    ------
    UserError
        There is nothing to learn from, the folder is in use, or it could not be written; nothing of it is left then.
    """
    images = iter(images)
    first = next(images, None)
    if first is None:
        raise UserError("The project has no labelled objects to learn from.", "Accept a few objects first.")
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise UserError(f"{run} exists already.", "Choose another name.")
    try:
        run.mkdir(parents=True, exist_ok=True)
        write_snapshot(run / DATA, itertools.chain([first], images))
        settings = config.model_dump(mode="json")
        settings |= {name: _brought(run, name, settings[name]) for name in FILES}
        write_script(run)
        write_json(run / JOB, {"id": run.name if _ID.fullmatch(run.name) else new_id(), "config": settings})
    except BaseException as error:
        shutil.rmtree(run, ignore_errors=True)
        if isinstance(error, OSError):
            raise not_saved(run, error) from error
        raise
    return run


def set_rival(run: Path, adapter: Path | None) -> None:
    """Let the result of a run that has not begun be compared with another adapter; None: with the base model.

    Raises
    ------
    UserError
        The folder is damaged or cannot be written.
    """
    job = read_json(run / JOB)
    if not isinstance(job, dict) or not isinstance(job.get("config"), dict):
        raise UserError(f"{run / JOB} has no field 'config'.", "Start the fine-tune again.")
    job["config"]["compare_with"] = _brought(run, "compare_with", "" if adapter is None else str(adapter))
    write_json(run / JOB, job)


def _brought(run: Path, name: str, path: str) -> str:
    """Copy an adapter into a run, and return its name there."""
    if not path:
        return ""
    target = run / f"{name}.safetensors"
    if not Path(path).is_file():
        raise UserError(f"The adapter {path} does not exist.", "Choose another one.")
    with saving(target) as temporary:
        shutil.copyfile(path, temporary)
    return target.name


def list_runs(folder: Path) -> list[Path]:
    """Return the folders of runs, oldest first."""
    found = [path.parent for path in folder.glob(f"*/{JOB}")]
    return sorted((run for run in found if not run.is_symlink()), key=lambda run: run.name)


def state_of(run: Path) -> State:
    """Return how far a run is, from what is in its folder; one that failed for good is ``over``."""
    if (run / WAITING).exists():
        return "waiting"
    if (run / AWAY).exists() or runner(run) is not None:
        return "running"
    if (run / ADAPTER).is_file():
        return "done"
    return "interrupted" if (run / CHECKPOINT).is_file() else "over"


def runner(run: Path) -> Owner | None:
    """Return the process that trains in a folder now.

    One on another computer counts as long as its events are not silent.
    """
    try:
        owner = read_owner(run / RUNNER)
        if owner is None or owner.gone:
            return None
        if owner.is_here:
            return owner
        return owner if time.time() - (run / EVENTS).stat().st_mtime < SILENT_S else None
    except OSError:
        return None


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
    target = folder / f"{_id(run)}.safetensors"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise not_saved(folder, error) from error
    with saving(target) as temporary:
        shutil.copyfile(source, temporary)
    with suppress(OSError):  # it would only be taken over once more
        (run / ADOPTED).touch()
    return target


def adopted(run: Path) -> bool:
    """Return whether the adapter of a run was taken over."""
    return (run / ADOPTED).exists()


def _id(run: Path) -> str:
    """Return the name that a run was given, wherever its folder is now."""
    job: Any = {}
    with suppress(UserError):
        job = read_json(run / JOB)
    name = job.get("id") if isinstance(job, dict) else None
    return name if isinstance(name, str) and _ID.fullmatch(name) else run.resolve().name
