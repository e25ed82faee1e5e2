from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def _module(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return _module("figures", monkeypatch)


def quoted(code: str) -> list[str]:
    return re.findall(r'"[\w-]+"', code)


def test_every_benchmark_knows_its_options_and_has_a_result_file(figures: ModuleType) -> None:
    for name, (script, _, sizes) in figures.FIGURES.items():
        assert sizes.keys() == figures.OUT.keys()
        files = [BENCHMARKS / script, *(BENCHMARKS / shared for shared in ("repeated.py", "resume.py"))]
        code = "".join(file.read_text(encoding="utf-8") for file in files)
        options = {part for size in sizes for part in figures.command(name, size) if part.startswith("--")}
        # The name of what there are so many of is given to the shared parser without dashes.
        assert not [option for option in options if not {f'"{option}"', f'"{option[2:]}"'} & set(quoted(code))]
        assert (BENCHMARKS / "results" / f"{name}.json").is_file()


def test_only_the_full_size_is_published(figures: ModuleType) -> None:
    assert figures.OUT["full"] == BENCHMARKS / "results"
    assert BENCHMARKS not in figures.OUT["small"].parents


def test_a_figure_is_measured_and_kept(figures: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    part = ("durability.py", ("--parts", "open"), {"small": {"images": 2}})
    monkeypatch.setitem(figures.FIGURES, "durability_opening", part)
    monkeypatch.setattr(sys, "argv", ["figures.py", "--only", "durability_opening", "--out", str(tmp_path)])
    assert figures.main() == 0
    found = json.loads((tmp_path / "durability_opening.json").read_text(encoding="utf-8"))
    assert found["open_images"] == 2 and found["open_objects"] == 23 and found["machine"]["cores"]


def test_a_benchmark_that_fails_is_told(
    figures: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(figures.FIGURES, "swap", ("no_such_file.py", (), {"small": {}}))
    monkeypatch.setattr(sys, "argv", ["figures.py", "--only", "swap", "--out", str(tmp_path)])
    assert figures.main() == 1
    assert "failed: swap" in capsys.readouterr().out and not list(tmp_path.iterdir())


def test_coverage_is_summed_up_by_package(monkeypatch: pytest.MonkeyPatch) -> None:
    coverage = _module("coverage_figure", monkeypatch)

    def file(lines: int, run: int, branches: int, taken: int) -> dict:
        names = ("num_statements", "covered_lines", "num_branches", "covered_branches")
        return {"summary": dict(zip(names, (lines, run, branches, taken), strict=True))}

    found = coverage.summarise(
        {
            "naslora_napari/store/formats/coco.py": file(10, 5, 0, 0),
            "naslora_napari/store/files.py": file(8, 8, 2, 2),
            "trainer/naslora_trainer/train.py": file(4, 0, 0, 0),
            "resources/naslora_resources/__init__.py": file(0, 0, 0, 0),
        }
    )
    assert found["all"] == {"statements": 22, "branches": 2, "share": 0.625}
    assert found["packages"]["naslora_napari/store"] == {"statements": 18, "branches": 2, "share": 0.75}
    assert found["packages"]["naslora_trainer"]["share"] == 0 and found["packages"]["naslora_resources"]["share"] == 1
