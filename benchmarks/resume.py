"""Benchmarks in parts that go on where they were interrupted: a process for each part, a file for each result."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from naslora_trainer.errors import UserError
from naslora_trainer.files import read_json, write_json


def parser_of(doc: str | None, results: str) -> argparse.ArgumentParser:
    """Return what reads the options that all of these benchmarks have.

    Parameters
    ----------
    doc : str or None
        What the benchmark says of itself.
    results : str
        Name of the folder with one file for each result, where no other is given.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the packs")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    parser.add_argument("--results", type=Path, default=Path(results), help="folder with one file for each result")
    return parser


def keep_settings(results: Path, settings: Mapping[str, Any]) -> None:
    """Make the folder ``results`` and write down what its results are measured with.

    Raises
    ------
    UserError
        There are results of other settings: the two must not be mixed.
    """
    results.mkdir(parents=True, exist_ok=True)
    file = results / "settings.json"
    if not file.exists():
        write_json(file, settings)
    elif read_json(file) != settings:
        raise UserError(f"{results} holds results of other settings.", "Choose another folder with --results.")


def run_parts(commands: Mapping[Path, Sequence[str]], threads: int = 1, workers: int = 1) -> bool:
    """Run the command of each result file that is missing, ``workers`` at once; their output goes to standard error.

    Returns
    -------
    bool
        Whether all went well. After a failure no other command is started; those that run are let end.
    """
    missing = [file for file in commands if not file.exists()]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    failed: list[Path] = []

    def run(file: Path) -> None:
        if failed:
            return
        done = subprocess.run(commands[file], env=environment, stdout=sys.stderr, check=False)
        if done.returncode:
            failed.append(file)
        print(file.stem, f"failed ({done.returncode})" if done.returncode else "done", file=sys.stderr)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, missing))
    return not failed
