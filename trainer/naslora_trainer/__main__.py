"""``python -u -m naslora_trainer RUN_DIR``: train what is in a run folder.

``RUN_DIR/job.json`` holds the settings (``{"config": {...}}``) and ``RUN_DIR/data.h5`` the labelled images. Events are
printed as JSON lines and kept in ``events.jsonl``; at the end there are ``report.json`` and, when it was not
cancelled, ``adapter.safetensors`` and, of a search, ``architecture.txt`` and ``architecture.png``. While it runs,
``runner.json`` says which process it is; a file ``stop`` stops it, with a ``checkpoint`` from which the next start goes
on. Exit status: 0 when it was done or cancelled, 1 after an error, 2 on wrong use.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .child import StopRequest, lower_priority, take_stdout, this_process
from .errors import UserError
from .events import Event, EventWriter, error_event, plain
from .files import read_json, write_bytes, write_json

ADAPTER, REPORT, EVENTS, CHECKPOINT = "adapter.safetensors", "report.json", "events.jsonl", "checkpoint"
RUNNER, STOP = "runner.json", "stop"
#: Settings that are paths of adapters; in a run folder they are relative to it.
FILES = ("start", "compare_with")
TABLE, PICTURE = "architecture.txt", "architecture.png"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one fine-tune and return the exit status."""
    parser = argparse.ArgumentParser(prog="naslora_trainer", description="Train what is in a run folder.")
    parser.add_argument("run_dir", type=Path, help="folder with job.json and data.h5")
    parser.add_argument("--detached", action="store_true", help="go on when standard input ends (no parent process)")
    given = parser.parse_args(arguments)
    lower_priority()
    stop = StopRequest()
    events = take_stdout()
    stop.listen(given.detached, given.run_dir / STOP)
    mirror = None
    if given.run_dir.is_dir():
        mirror = given.run_dir / EVENTS
        with suppress(UserError):
            write_json(given.run_dir / RUNNER, this_process())
    with EventWriter(events, mirror) as emit:
        last = run(given.run_dir, emit, stop)
        emit(last)
    return 1 if last["event"] == "error" else 0


def run(run_dir: Path, emit: Callable[[Event], None], should_stop: Callable[[], bool]) -> Event:
    """Train, write adapter and report, and return the last event: ``result`` or ``error``."""
    try:
        # Of an earlier attempt in the same folder.
        _remove(*(run_dir / name for name in (ADAPTER, REPORT, TABLE, PICTURE)))
        last, report = _train(run_dir, emit, should_stop)
    except Exception as error:
        traceback.print_exc()
        last = error_event(error)
        with suppress(UserError):
            write_json(run_dir / REPORT, {"status": "error", **last})
        return last
    try:
        write_json(run_dir / REPORT, plain(report))
    except UserError as error:  # the adapter is there: no reason to fail
        emit({"event": "warning", "message": str(error)})
    return last


def _train(
    run_dir: Path, emit: Callable[[Event], None], should_stop: Callable[[], bool]
) -> tuple[Event, dict[str, Any]]:
    """Return the ``result`` event and what goes into the report."""
    started = time.monotonic()
    config, images = _job(run_dir)
    scratch = run_dir / "scratch"
    adapter = None
    if not should_stop():
        # torch comes here: late enough for a low priority, early enough to count as training time.
        from .native import reuse_freed_memory

        reuse_freed_memory()
        from .train import finetune

        try:
            checkpoint = run_dir / CHECKPOINT
            adapter = finetune(config, images, lambda event: emit(_with_pid(event)), should_stop, scratch, checkpoint)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    seconds = round(time.monotonic() - started, 2)
    if adapter is None:
        result: Event = {"event": "result", "status": "cancelled", "adapter": None, "better": False}
        result |= {"reason": "Stopped before the end.", "validation": {}, "train_s": seconds, "peak_mb": None}
        return result, result
    path = run_dir / ADAPTER
    adapter.save(path)
    _remove(run_dir / CHECKPOINT)
    # The history stays in the adapter file: for a person, the table and the picture say it better.
    report = {key: value for key, value in adapter.meta.report.items() if key != "architecture_history"}
    _show_architecture(run_dir, adapter.meta, config, emit)
    result = {"event": "result", "status": "done", "adapter": str(path)}
    result |= {key: report[key] for key in ("better", "reason", "validation", "train_s", "peak_mb")}
    return result, {**report, **result, "id": adapter.id, "architecture": adapter.meta.architecture}


def _show_architecture(run_dir: Path, meta: Any, config: Any, emit: Callable[[Event], None]) -> None:
    """Write the course of the search as a table and a picture, where there was one."""
    records = meta.report.get("architecture_history")
    if not records:
        return
    try:
        from .architecture import ArchitectureHistory, draw, stage_starts, table

        write_bytes(run_dir / TABLE, (table(meta.architecture) + "\n").encode("utf-8"))
        draw(ArchitectureHistory.from_json(records), run_dir / PICTURE, stage_starts(config))
    except Exception as error:  # the adapter is there: no reason to fail
        emit({"event": "warning", "message": f"The architecture that was found could not be drawn: {error}"})


def _job(run_dir: Path) -> tuple[Any, Any]:
    """Return the config and the images of a run folder."""
    from .config import FineTuneConfig
    from .data import read_snapshot

    if not run_dir.is_dir():
        raise UserError(f"The run folder {run_dir} does not exist.", "Check the path.")
    job = read_json(run_dir / "job.json")
    settings = job.get("config") if isinstance(job, dict) else None
    if not isinstance(settings, dict):
        raise UserError(f"{run_dir / 'job.json'} has no field 'config'.", "Start the fine-tune again.")
    paths = {name: str(run_dir / settings[name]) for name in FILES if isinstance(settings.get(name), str)}
    settings |= {name: path for name, path in paths.items() if settings[name]}
    return FineTuneConfig.checked(**settings), read_snapshot(run_dir / "data.h5")


def _with_pid(event: Event) -> Event:
    return {**event, "pid": os.getpid()} if event["event"] == "started" else event


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
