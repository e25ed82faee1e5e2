"""Command lines and environments of the children."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from naslora_resources.registry import DEFAULT_MODEL

from .cores import cores, live_cores
from .detached import RunJob
from .job import Job

PACKAGES = ("naslora_napari", "naslora_trainer", "naslora_resources")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
#: -P: a file torch.py in the working directory is not taken for torch. -u: every event leaves at once.
PYTHON_OPTIONS = ("-P", "-u")


def child_environment(threads: int | None = None) -> dict[str, str]:
    """Return the environment of a child process.

    Parameters
    ----------
    threads : int, optional
        How many threads it computes with; by default as many as there are cores without those that stay for the person
        who annotates meanwhile (at least one).
    """
    count = max(1, cores() - live_cores() if threads is None else threads)
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(count))
    environment |= {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
    roots = _source_roots()
    if roots:
        given = [environment["PYTHONPATH"]] if environment.get("PYTHONPATH") else []
        environment["PYTHONPATH"] = os.pathsep.join([*roots, *given])
    return environment


def _source_roots() -> list[str]:
    """Return the folders of packages that are not installed, only on the path."""
    installed = {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")}
    found = (find_spec(name) for name in PACKAGES)
    origins = (spec.origin for spec in found if spec is not None and spec.origin)
    roots = dict.fromkeys(Path(origin).resolve().parent.parent for origin in origins)
    return [str(root) for root in roots if root not in installed]


def finetune_command(run_dir: Path | str) -> list[str]:
    """Return the command that trains what is in a run folder (``Project.new_run``)."""
    return [sys.executable, *PYTHON_OPTIONS, "-m", "naslora_trainer", str(run_dir)]


def finetune_job(run_dir: Path | str, threads: int | None = None) -> RunJob:
    """Return the job that trains what is in a run folder, or follows the process that does so already."""
    run_dir = Path(run_dir).resolve()
    return RunJob(run_dir, finetune_command(run_dir), child_environment(threads))


def segment_command(
    folder: Path | str,
    out: Path | str,
    adapter: Path | str | None = None,
    base: str = DEFAULT_MODEL,
    device: str = "auto",
    resume: bool = False,
    measure: Path | str | None = None,
    recursive: bool = False,
    extras: Sequence[str] = (),
) -> list[str]:
    """Return the command that segments a folder; see :func:`naslora_napari.batch.segment_folder`."""
    command = [sys.executable, *PYTHON_OPTIONS, "-m", "naslora_napari", "segment", "--json", "--child"]
    command += ["--out", str(out), "--base", base, "--device", device]
    command += ["--adapter", str(adapter)] if adapter is not None else []
    command += ["--measure", str(measure)] if measure is not None else []
    command += ["--resume"] if resume else []
    command += ["--recursive"] if recursive else []
    command += ["--also", ",".join(extras)] if extras else []
    return [*command, "--", str(folder)]


def segment_job(command: list[str], threads: int | None = None, log: Path | None = None) -> Job:
    """Return the job of a :func:`segment_command`."""
    return Job(command, env=child_environment(threads), log=log, what="segmentation process")
