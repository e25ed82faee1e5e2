"""What a Dask worker does for a run: it trains in a folder of its own, in a child process, and tells of it when asked.

Dask sends the names of these functions only: the workers need the same naslora-napari.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from pathlib import Path
from typing import Any

from naslora_trainer.__main__ import ADAPTER, CHECKPOINT, EVENTS, PICTURE, REPORT, STOP, TABLE
from naslora_trainer.files import write_bytes

from ..store.runs import runner
from .commands import finetune_job
from .cores import cores
from .detached import LOG
from .stream import LAST, Event

#: What goes to the worker, and what comes home.
THERE = ("job.json", "data.h5", "start.safetensors", "compare_with.safetensors", CHECKPOINT)
HOME = (ADAPTER, REPORT, EVENTS, CHECKPOINT, TABLE, PICTURE, LOG)
ATTEMPT = "attempt"
POLL_S = 0.25
#: At most so many bytes of events are sent at once.
MOST_BYTES = 1 << 22


def pack(run: Path, names: tuple[str, ...]) -> dict[str, tuple[bytes, str]]:
    """Return those files of a folder that are there, each with its SHA-256."""
    contents = {name: (run / name).read_bytes() for name in names if (run / name).is_file()}
    return {name: (content, hashlib.sha256(content).hexdigest()) for name, content in contents.items()}


def unpack(run: Path, files: dict[str, tuple[bytes, str]], names: tuple[str, ...]) -> None:
    """Write files into a folder.

    Raises
    ------
    ValueError
        There is one that nobody asked for, or its content is not what was sent.
    UserError
        It cannot be written.
    """
    for name, (content, digest) in files.items():
        if name not in names or hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(f"{name[:80]} is not what was sent")
    for name, (content, _) in files.items():
        write_bytes(run / name, content)


def train(run_id: str, files: dict[str, tuple[bytes, str]]) -> dict[str, tuple[bytes, str]]:
    """Train to the end and return what comes home. It is a task of Dask."""
    from distributed import get_worker

    run = _folder(run_id, get_worker())
    job = finetune_job(run, threads=cores())
    if runner(run) is not None:  # of a task that the scheduler has forgotten
        job.attach()
    else:
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir(parents=True)
        unpack(run, files, THERE)
        job.start()
        (run / ATTEMPT).write_text(secrets.token_hex(8), encoding="ascii")
    last: Event = {}
    while job.running:
        job.wait(POLL_S)
        if (run / STOP).exists():
            job.cancel()
        last = (job.poll() or [last])[-1]
    last = (job.poll() or [last])[-1]
    _note(run / EVENTS, last)
    return pack(run, HOME)


def _note(events: Path, last: Event) -> None:
    """Add the last event where the process could not write it."""
    content = events.read_bytes() if events.exists() else b""
    line = content.rstrip(b"\n").rpartition(b"\n")[2]
    try:
        if json.loads(line)["event"] in LAST:
            return
    except (ValueError, LookupError, TypeError):
        pass
    with open(events, "ab") as file:
        file.write(b"\n" + json.dumps(last).encode("utf-8") + b"\n")


def events_since(run_id: str, attempt: str, offset: int, dask_worker: Any = None) -> tuple[str, bytes] | None:
    """Return which attempt it is and its events from a byte on, from the first one where it is another attempt.

    None: the run is not here.
    """
    run = _folder(run_id, dask_worker)
    try:
        found = (run / ATTEMPT).read_text(encoding="ascii")
        with open(run / EVENTS, "rb") as file:
            file.seek(offset if found == attempt else 0)
            return found, file.read(MOST_BYTES)
    except OSError:
        return None


def stop(run_id: str, dask_worker: Any = None) -> bool:
    """Ask the process of a run to stop, and return whether it is here."""
    run = _folder(run_id, dask_worker)
    if not run.is_dir():
        return False
    (run / STOP).touch()
    return True


def forget(run_id: str, dask_worker: Any = None) -> None:
    """Remove the folder of a run."""
    shutil.rmtree(_folder(run_id, dask_worker), ignore_errors=True)


def _folder(run_id: str, worker: Any) -> Path:
    return Path(worker.local_directory) / f"naslora-{Path(run_id).name}"
