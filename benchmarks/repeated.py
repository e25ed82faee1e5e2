"""The command line of benchmarks that do one thing so many times in one process."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

from naslora_trainer.errors import UserError


def parser_of(doc: str | None, name: str, default: int, text: str) -> argparse.ArgumentParser:
    """Return what reads the options that all of these benchmarks have.

    Parameters
    ----------
    doc : str or None
        What the benchmark says of itself.
    name : str
        What there are so many of, in the plural: the name of the option.
    default : int
        How many, where nothing else is asked for.
    text : str
        What the option does.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(f"--{name}", type=_at_least_one, default=default, help=text)
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    return parser


def add_threads(parser: argparse.ArgumentParser) -> None:
    """Add the option for a benchmark that computes in its own process; see :func:`use_threads`."""
    parser.add_argument("--threads", type=int, default=0, help="threads of torch; 0: as many as it takes")


def use_threads(threads: int) -> None:
    """Let torch use so many threads, or as many as it takes."""
    import torch

    if threads:
        torch.set_num_threads(threads)


def printed(
    measure: Callable[[], dict[str, Any]],
    as_json: bool,
    summary: Callable[[dict[str, Any]], str] = lambda found: json.dumps(found, indent=2),
) -> dict[str, Any] | None:
    """Print what is measured; what libraries print meanwhile goes to standard error.

    Parameters
    ----------
    measure : callable
        Returns what can be written as JSON.
    as_json : bool
        Whether one JSON document is wanted.
    summary : callable
        Returns the text for a person.

    Returns
    -------
    dict or None
        What was measured; None where a :class:`UserError` came in place of it, which is printed.
    """
    try:
        with redirect_stdout(sys.stderr):
            found = measure()
    except UserError as error:
        print(error, file=sys.stderr)
        return None
    print(json.dumps(found) if as_json else summary(found))
    return found


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
