"""Commands, options, code and menus that the pages name are those of the program."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shlex
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from typer.main import get_command

from naslora_napari.cli import app
from naslora_napari.store.formats import FORMATS

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
FENCE = re.compile(r"^[ ]*```([^\n`]*)\n(.*?)^[ ]*```$", re.MULTILINE | re.DOTALL)
#: In a block a remark is set off by a `#` or by blanks; options may be, too.
REMARK = re.compile(r"\s#|\s{2,}(?![-\[\s])")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
BRACKETS = re.compile(r"\[([^\[\]]*)\]")
PLACEHOLDER = re.compile(r"[A-Z]+")
STRESSED = re.compile(r"(\*\*|\*)(?=\S)([^*]+)(?<=\S)\1")
#: Menus of napari and of other programs.
FOREIGN_MENUS = ("File", "Plugins", "Preferences", "Processing", "ROI Manager")
#: What typer raises where something is only left out; newer ones have a click of their own.
NAMED_ONLY = ("MissingParameter", "BadOptionUsage")


def blocks(page: str) -> Iterator[str]:
    """Each command of the blocks of a page, with the lines that go on from it."""
    for _, block in FENCE.findall(page):
        for line in re.sub(r"\n[ ]{8,}", "   ", block).splitlines():
            if line.startswith("naslora "):
                yield line


def spans(page: str) -> list[str]:
    """Each command in a sentence."""
    return [" ".join(span.split()) for span in re.findall(r"`(naslora [^`:]+)`", FENCE.sub("", page))]


def written(command: str) -> list[list[str]]:
    """The command lines that a notation stands for: of `[--what may --be]` each with one of them, of `a|b` either."""
    command = re.sub(r" (\w+) \| (\w+)$", r" \1|\2", command)
    bare = BRACKETS.sub("", command)
    ways = [f"{bare} {way}" for optional in BRACKETS.findall(command) for way in optional.split(" | ")]
    return [words for line in (bare, *ways) for words in _either(shlex.split(line))]


def _either(words: list[str]) -> list[list[str]]:
    several = next((i for i, word in enumerate(words) if "|" in word), None)
    if several is None:
        return [words]
    return [[*words[:several], one, *words[several + 1 :]] for one in words[several].split("|")]


def parse(words: list[str]) -> None:
    """Parse a command line as the program does; a placeholder of a number or a choice is one of these."""
    command, arguments = COMMANDS[words[1]], words[2:]
    hints = get_type_hints(inspect.unwrap(command.callback))
    hint_of = {option: hints[param.name] for param in command.params for option in param.opts if param.name in hints}
    for i, (option, value) in enumerate(zip(arguments, arguments[1:], strict=False), 1):
        if option in hint_of and PLACEHOLDER.fullmatch(value):
            arguments[i] = _some_value(hint_of[option], value)
    command.make_context(words[1], [*arguments])
    if words[1] == "export" and (format := arguments[arguments.index("--format") + 1]) != "NAME":
        assert format in FORMATS


def _some_value(hint: Any, placeholder: str) -> str:
    for kind in get_args(hint) or (hint,):
        if kind in (int, float):
            return "3"
        if inspect.isclass(kind) and issubclass(kind, Enum):
            return str(next(iter(kind)).value)
    return placeholder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_a_block_is_one_that_the_program_takes(page: Path) -> None:
    for line in blocks(page.read_text(encoding="utf-8")):
        for words in written(REMARK.split(line, maxsplit=1)[0]):
            parse(words)
            assert not _unknown(OPTION.findall(line), words[1]), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_a_sentence_exists_with_its_options(page: Path) -> None:
    for span in spans(page.read_text(encoding="utf-8")):
        for words in written(span):
            if words[1] == "COMMAND":
                continue
            assert not _unknown(OPTION.findall(span), words[1]), span
            try:
                parse(words)
            except Exception as error:
                if type(error).__name__ not in NAMED_ONLY:
                    raise


def _unknown(options: list[str], *names: str) -> set[str]:
    known = {name for command in names for param in COMMANDS[command].params for name in param.opts}
    return {*options} - known - {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_an_option_by_itself_is_that_of_a_command(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    assert not _unknown(re.findall(r"`(--[a-z][a-z-]*)", text), *COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_benchmark_that_a_page_names_has_the_options_it_names(page: Path) -> None:
    for script, options in re.findall(r"(benchmarks/\w+\.py)([^`\n]*)", page.read_text(encoding="utf-8")):
        source = "".join((ROOT / file).read_text(encoding="utf-8") for file in (script, "benchmarks/resume.py"))
        assert not [option for option in OPTION.findall(options) if f'"{option}"' not in source], script


def test_the_readme_names_every_command() -> None:
    named = {words[1] for line in blocks((ROOT / "README.md").read_text(encoding="utf-8"))
             for words in written(REMARK.split(line, maxsplit=1)[0])}  # fmt: skip
    assert named == COMMANDS.keys()


def test_python_in_the_pages_takes_from_packages_what_they_offer() -> None:
    taken = [
        (node.module, name.name)
        for page in PAGES
        for kind, block in FENCE.findall(page.read_text(encoding="utf-8"))
        if kind == "python"
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("naslora_")
        for name in node.names
    ]
    assert len(taken) > 5
    assert not [(module, name) for module, name in taken if not hasattr(importlib.import_module(str(module)), name)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_opens_a_dialog_and_each_menu_are_in_the_window(page: Path) -> None:
    """Who writes `Name…` or `Menu > Entry` in italics or bold speaks of the window."""
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "naslora_napari" / "_qt").glob("*.py"))
    text = " ".join(re.sub(r"`[^`]*`", "", FENCE.sub("", page.read_text(encoding="utf-8"))).split())
    named = [name for _, name in STRESSED.findall(text) if name.endswith("…") or " > " in name]
    ours = [name.split(" > ") for name in named if not name.startswith(FOREIGN_MENUS)]
    missing = [entry for names in ours for entry in names if f'"{entry}"' not in code]
    assert not [entry for entry in missing if entry != "Export as …" or 'f"Export as {format.title}…"' not in code]
