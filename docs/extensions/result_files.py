"""Result files of benchmarks, and templates that are filled with their figures. Needs no Sphinx."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
#: In the text of a page: a directive (name, option, table), a role (name, template).
DIRECTIVE = re.compile(r"^```\{results\} (\S+)\n(?::under: ([^\n]*)\n)?(.*?)^```$", re.MULTILINE | re.DOTALL)
ROLE = re.compile(r"\{result\}`(\S+) ([^`]*)`")


class Spread(dict[str, float]):
    """A mean with the spread around it: the format is that of either number, a sign that of the mean."""

    def __format__(self, spec: str) -> str:
        return f"{self['mean']:{spec}} ± {self['spread']:{spec.lstrip('+')}}"


def load(name: str) -> dict[str, Any]:
    """Return a result file, in which a mean with its spread is one value.

    Raises
    ------
    OSError
        There is no such file.
    """

    def together(found: dict[str, Any]) -> dict[str, Any]:
        return Spread(found) if found.keys() == {"mean", "spread"} else found

    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text, object_hook=together)
    return document


def filled(document: Mapping[str, Any], template: str, under: str = "") -> str:
    """Return a template with the figures of a document in it.

    Raises
    ------
    KeyError
        The document has no such figure.
    """
    for key in under.split():
        document = document[key]
    return template.format_map(document)


def origin(name: str, document: Mapping[str, Any]) -> str:
    """Return on which machine, when and with which seeds a result was measured, in Markdown.

    A file with ``taken_over`` holds figures that a page had before it was filled from files; their load is unknown.

    Raises
    ------
    KeyError
        The document does not say it.
    """
    machine = document["machine"]
    date = str(document.get("date") or machine["date"])[:10]
    cores = f"{machine['cores']} core" + "s" * (machine["cores"] != 1)
    load = "load not noted" if "taken_over" in document else f"load {machine['load']:.1f}"
    said = [machine["cpu"], cores, load, f"Python {machine['python']}"]
    said += [f"torch {machine['torch']}"] if "torch" in machine else []
    seeds = sorted({*_found(document, "seed")})
    said += [date, *([f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"] if seeds else [])]
    taken = "; taken over from this page, the file of the run was not kept" if "taken_over" in document else ""
    return f"`benchmarks/results/{name}.json`: {', '.join(said)}{taken}"


def without_file(lines: Sequence[str]) -> str:
    """Return which rows of a table have no field, if others have: their figures are in no file."""
    rows = [line for line in lines if line.startswith("|")][2:]
    without = [line.split("|")[1].strip() for line in rows if "{" not in line]
    return f". Of earlier runs, whose files were not kept: {'; '.join(without)}" if without else ""


def _found(document: Any, key: str) -> Iterator[Any]:
    """The values of a key, however deep."""
    if isinstance(document, Mapping):
        yield from ([document[key]] if key in document else [])
        for value in document.values():
            yield from _found(value, key)
    elif isinstance(document, list):
        for value in document:
            yield from _found(value, key)


def used(page: str) -> Iterator[tuple[str, str, str]]:
    """Return the name, template and key of each table and figure of a page in Markdown."""
    for name, under, template in DIRECTIVE.findall(page):
        yield name, template, under
    for name, template in ROLE.findall(page):
        yield name, template, ""
