"""What the pages say of the code is there: tests, keys of packaging, buttons."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
#: In scripts/pictures.py; and how large all pictures may be together.
LISTS, MOST_BYTES = ("PICTURES", "DRAWN"), 2_500_000
PAGES = sorted((ROOT / "docs").glob("*.md"))
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_figures_of_result_files_stand_in_blocks_that_fill_them(page: Path) -> None:
    outside = re.sub(r"^```.*?^```|{result}`[^`]*`", "", _text(page), flags=re.DOTALL | re.MULTILINE)
    assert not re.findall(r"\{[^{}\n]*:[^{}\n]*f\}", outside)


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", _text(ROOT / "docs" / "threat-model.md"))
    assert len(named) > 30
    assert not [(file, test) for file, test in named if f"def {test}(" not in _text(ROOT / file)]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", _text(page))
    files = [link for link in links if not link.startswith(("http:", "https:"))]
    assert not [link for link in files if not (page.parent / link).exists()]


def test_every_picture_is_made_by_the_script_and_seen_on_a_page() -> None:
    script = ast.parse(_text(ROOT / "scripts" / "pictures.py"))
    said = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in script.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in LISTS
    }
    made = {f"{name}.png" for name in said["PICTURES"]} | set(said["DRAWN"])
    shown = {name for page in (*PAGES, ROOT / "README.md") for name in re.findall(r"pictures/([\w.-]+)\)", _text(page))}
    files = list((ROOT / "docs" / "pictures").iterdir())
    assert shown == made == {file.name for file in files}
    assert sum(file.stat().st_size for file in files) < MOST_BYTES


def test_every_page_is_in_the_contents() -> None:
    index = _text(ROOT / "docs" / "index.md")
    listed = {line for block in re.findall(r"```{toctree}\n(.*?)```", index, re.DOTALL) for line in block.splitlines()}
    assert {page.stem for page in PAGES} - {"index"} <= listed


#: What is in bold in a tutorial and no button: keys, and words of files.
NOT_BUTTONS = {"X", "A", "E", "K", "M", "G", "F", "D", "Page Down", "⋯", "Class"}
NOT_BUTTONS |= {"Labels > Import labels from a folder…"}


@pytest.mark.parametrize("name", ["tutorial-nuclei", "tutorial-leaves"])
def test_buttons_of_the_tutorials_are_in_the_window(name: str) -> None:
    code = "".join(_text(path) for path in (ROOT / "naslora_napari" / "_qt").glob("*.py"))
    named = set(re.findall(r"\*\*([^*]+)\*\*", _text(ROOT / "docs" / f"{name}.md"))) - NOT_BUTTONS
    assert len(named) > 5
    assert not [button for button in named if f'"{button}"' not in code]


@pytest.fixture(scope="module")
def results() -> ModuleType:
    """What fills figures into the pages."""
    spec = importlib.util.spec_from_file_location("result_files", ROOT / "docs" / "extensions" / "result_files.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_result_file_is_shown_and_every_figure_has_its_file(results: ModuleType) -> None:
    shown = [found for page in PAGES for found in results.used(_text(page))]
    fences = sum(_text(page).count("{results} ") for page in PAGES)
    assert fences == len(results.DIRECTIVE.findall("".join(map(_text, PAGES))))
    assert {name for name, *_ in shown} == {path.stem for path in RESULTS}
    for name, template, under in shown:
        table = results.filled(results.load(name), template, under)
        assert "{" in template and "{" not in table


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_result_file_says_where_and_when(results: ModuleType, path: Path) -> None:
    said = results.origin(path.stem, results.load(path.stem))
    assert re.search(r"[A-Z].*, \d+ cores?, load (not noted|\d.*), Python 3\.\d+.*, 20\d\d-\d\d-\d\d", said)


def test_a_mean_is_shown_with_its_spread_and_rows_without_a_file_are_named(results: ModuleType) -> None:
    document: dict = {"a": {"b": results.Spread(mean=0.5, spread=0.25)}, "runs": [{"seed": 2}, {"seed": 0}]}
    assert results.filled(document, "{b:.3f}", "a") == "0.500 ± 0.250"
    assert results.filled(document, "{b:+.3f}", "a") == "+0.500 ± 0.250"
    with pytest.raises(KeyError):
        results.filled(document, "{c}", "a")
    machine = {"cpu": "X", "cores": 1, "load": 2, "python": "3.11", "date": "2026-01-02T03:04:05"}
    assert results.origin("n", {**document, "machine": machine}).endswith(
        "1 core, load 2.0, Python 3.11, 2026-01-02, seeds 0, 2"
    )
    assert results.without_file(["| | x |", "|---|---|", "| a | {b} |", "| c | 1 |"]).endswith(": c")
    assert results.without_file(["| | x |", "|---|---|", "| a | {b} |"]) == ""


@pytest.mark.parametrize("module", ["naslora_napari", "naslora_trainer"])
def test_the_page_on_python_lists_what_a_package_offers(module: str) -> None:
    assert f".. public-api:: {module}\n" in _text(ROOT / "docs" / "python.md")
    assert (ROOT / module / "py.typed").is_file() or (ROOT / "trainer" / module / "py.typed").is_file()
    offered = importlib.import_module(module)
    for name in set(offered.__all__) - {"__version__"}:
        assert inspect.getdoc(getattr(offered, name)), name
        assert getattr(offered, name).__module__.startswith("naslora_")
