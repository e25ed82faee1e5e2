"""What the pages say of the code is there: tests, keys of packaging, buttons."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", _text(ROOT / "docs" / "threat-model.md"))
    assert len(named) > 30
    assert not [(file, test) for file, test in named if f"def {test}(" not in _text(ROOT / file)]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", _text(page))
    files = [link for link in links if not link.startswith(("http:", "https:"))]
    assert not [link for link in files if not (page.parent / link).exists()]


def test_every_page_is_in_the_contents() -> None:
    index = _text(ROOT / "docs" / "index.md")
    listed = {line for block in re.findall(r"```{toctree}\n(.*?)```", index, re.DOTALL) for line in block.splitlines()}
    assert {page.stem for page in PAGES} - {"index"} <= listed


#: What is in bold in a tutorial and no button: keys, and words of files.
NOT_BUTTONS = {"X", "A", "E", "K", "M", "G", "F", "D", "Page Down", "Labels > Import labels from a folder…", "Class"}


@pytest.mark.parametrize("name", ["tutorial-nuclei", "tutorial-leaves"])
def test_buttons_of_the_tutorials_are_in_the_window(name: str) -> None:
    code = "".join(_text(path) for path in (ROOT / "naslora_napari" / "_qt").glob("*.py"))
    named = set(re.findall(r"\*\*([^*]+)\*\*", _text(ROOT / "docs" / f"{name}.md"))) - NOT_BUTTONS
    assert len(named) > 5
    assert not [button for button in named if f'"{button}"' not in code]
