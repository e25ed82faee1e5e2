"""A report of what went wrong that can be shown to others: no paths, and no names of people, computers or projects."""

from __future__ import annotations

import getpass
import importlib.metadata
import linecache
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from .doctor import Check

PATH = "<path>"
#: Lines of code are shown of these packages only: of others, they may hold what is the person's own.
OWN = ("naslora_napari", "naslora_trainer", "naslora_resources")
#: So many of an exception's causes and of a traceback's innermost frames are told.
MOST_CAUSES, MOST_FRAMES = 5, 30
QUOTES = {"'": "'", '"': '"', "`": "`", "“": "”", "‘": "’"}
#: A piece between blanks that has a separator in it: the beginning of a path or an address.
_START = re.compile(r"\S*(?:[/\\]|\bfile:)", re.IGNORECASE)
#: What may be between a blank and an opening quote.
_BEFORE_QUOTE = re.compile(r"(?:\w+[=(])*[(\[{<,]*")


def report_text(
    checks: Iterable[Check], said: Sequence[str], error: BaseException | None, names: Mapping[str, str]
) -> str:
    """Return the report.

    Parameters
    ----------
    checks : iterable of Check
        What ``naslora doctor`` found.
    said : sequence of str
        What the person was told lately, the newest last.
    error : BaseException or None
        What went wrong.
    names : mapping of str to str
        Names that are private, such as that of the project, and what stands in their place.
    """
    own = own_names()
    # "15" says nothing of a person, and would be taken out of every number
    private = {**own, **{name: place for name, place in names.items() if any(map(str.isalpha, name))}}
    lines = [f"naslora-napari {importlib.metadata.version('naslora-napari')}", "", "naslora doctor:"]
    for check in checks:
        advice = f" ({redacted(check.advice, own)})" if check.advice else ""
        lines.append(f"  {check.state:4} {check.name}: {redacted(check.found, own)}{advice}")
    if said:
        lines += ["", "Told lately:", *(f"  {line}" for text in said for line in redacted(text, private).splitlines())]
    if error is not None:
        lines += ["", "What went wrong:", *_told(error, private)]
    return "\n".join(lines) + "\n"


def own_names() -> dict[str, str]:
    """Return the names of the person and of the computer, and what stands in their place."""
    names = {Path.home().name: "<user>", platform.node(): "<computer>", platform.node().split(".")[0]: "<computer>"}
    with suppress(KeyError, OSError, ImportError):  # a computer that does not know who it works for
        names[getpass.getuser()] = "<user>"
    return {name: place for name, place in names.items() if name}


def redacted(text: str, names: Mapping[str, str]) -> str:
    """Return a text without paths, addresses and names.

    A path with blanks has no end that could be recognised, so all is left out from its beginning to the closing quote,
    or to the end of the line where it has none.

    Parameters
    ----------
    text : str
        Any text, such as a message.
    names : mapping of str to str
        Whole words that are left out, in any case, and what stands in their place.
    """
    found = "\n".join(_without_paths(line) for line in text.split("\n"))
    if not names:
        return found
    places = {name.casefold(): place for name, place in names.items()}
    longest_first = sorted(map(re.escape, names), key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(longest_first)})(?!\w)", re.IGNORECASE)
    return pattern.sub(lambda match: places.get(match[0].casefold(), "<name>"), found)


def _without_paths(line: str) -> str:
    kept = ""
    while (match := _START.search(line)) is not None:
        start, end = match.start(), len(line)
        before = _BEFORE_QUOTE.match(line, start)
        place = before.end() if before else start
        close = line.rfind(QUOTES.get(line[place], "\0"))
        if close >= match.end():
            start, end = place + 1, close
        kept, line = f"{kept}{line[:start]}{PATH}", line[end:]
    return kept + line


def _told(error: BaseException, names: Mapping[str, str]) -> Iterator[str]:
    """Say what went wrong and what led to it, the newest first, where in the program, and in which words."""
    for _ in range(MOST_CAUSES):
        yield f"{type(error).__module__}.{type(error).__qualname__}: {redacted(str(error), names)}"
        yield from _frames(error.__traceback__)
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None:
            return
        yield "which came of:"
        error = cause


def _frames(place: TracebackType | None) -> list[str]:
    """Return where a traceback leads through, by the names of modules: files would tell where Python lives."""
    found: list[str] = []
    while place is not None:
        frame = place.tb_frame
        module = str(frame.f_globals.get("__name__", "?"))
        found.append(f"  {module}, line {place.tb_lineno}, in {frame.f_code.co_name}")
        if module.split(".")[0] in OWN:
            code = linecache.getline(frame.f_code.co_filename, place.tb_lineno, frame.f_globals).strip()
            found[-1] += f": {code}" if code else ""
        place = place.tb_next
    return found[-MOST_FRAMES:]
