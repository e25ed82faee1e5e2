"""The manifest, the entry points and the wheel."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import distribution, entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from npe2 import PluginManifest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_distribution("naslora-napari")


def test_the_installed_manifest_is_the_file() -> None:
    """An editable install copies napari.yaml: an old copy means that the package must be installed again."""
    spec = find_spec("naslora_napari_manifest")
    assert spec is not None and spec.submodule_search_locations
    installed = Path(next(iter(spec.submodule_search_locations))) / "napari.yaml"
    assert installed.read_text(encoding="utf-8") == (ROOT / "napari.yaml").read_text(encoding="utf-8")


def test_the_manifest_is_valid_and_its_targets_exist(manifest: PluginManifest) -> None:
    manifest.validate_imports()
    assert manifest.display_name == "NAS-LoRA"
    assert [widget.display_name for widget in manifest.contributions.widgets or []] == ["NAS-LoRA"]
    assert {command.id for command in manifest.contributions.commands or []} == {
        "naslora-napari.dock",
        "naslora-napari.sample_nuclei",
        "naslora-napari.read_project",
        "naslora-napari.write_project",
    }


def test_the_manifest_passes_the_check_of_npe2() -> None:
    """One wrong field would take the whole plugin out of napari."""
    command = [sys.executable, "-m", "npe2", "validate", "--imports", str(ROOT / "napari.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "valid" in done.stdout, done.stdout + done.stderr


def test_the_icon_exists(manifest: PluginManifest) -> None:
    package, name = str(manifest.icon).split(":")
    spec = find_spec(package)
    assert spec is not None and spec.origin
    assert (Path(spec.origin).parent / name).read_text(encoding="utf-8").lstrip().startswith("<svg")


def test_the_command_naslora_can_be_loaded() -> None:
    (script,) = entry_points(group="console_scripts", name="naslora")
    assert callable(script.load())


def test_the_installed_version_is_the_one_in_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert distribution("naslora-napari").version == project["version"]


def test_the_version_is_the_same_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    for package in ("naslora_napari", "trainer/naslora_trainer"):
        assert f'__version__ = "{version}"' in (ROOT / package / "__init__.py").read_text(encoding="utf-8")
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == version
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_ci_runs_every_python_that_is_promised_on_every_system() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    promised = [line.split(" :: ")[-1] for line in project["classifiers"] if re.search(r":: 3\.\d+$", line)]
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == promised
    assert {system.split("-")[0] for system in matrix["os"]} == {"ubuntu", "macos", "windows"}


def test_every_dependency_has_its_licence_listed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert {"cpu", "dask", "docs", "qt", "testing", "all"} <= extras.keys()
    wanted = {re.split(r"[\[<>=!; ]", line)[0].lower() for line in sum(extras.values(), project["dependencies"])}
    listed = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8").lower()
    assert not [name for name in wanted - {project["name"]} if not re.search(rf"\b{re.escape(name)}\b", listed)]


def test_no_core_dependency_brings_qt() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert not [line for line in project["dependencies"] if re.match(r"pyside|pyqt\d", line, re.IGNORECASE)]


def test_wheel_and_sdist_have_every_part_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {
        "naslora_napari",
        "naslora_trainer",
        "naslora_resources",
        "naslora_napari_manifest",
    }
    for part in (
        "naslora_napari_manifest/napari.yaml",
        "naslora_resources/registry.toml",
        "naslora_resources/adapters/litemedsam-click.safetensors",
        "naslora_resources/icons/naslora.svg",
        "naslora_resources/samples/NOTICE",
        "naslora_resources/samples/labelled/images/00.png",
        "naslora_resources/samples/held_out/masks/01.png",
    ):
        assert part in names
    for licence in ("LICENSE", "LICENSES/Apache-2.0.txt", "THIRD_PARTY.md"):
        assert any(name.endswith(f".dist-info/licenses/{licence}") for name in names)
    assert wheel.stat().st_size < 4_000_000  # of which the click adapter is 2.5
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        files = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {name.split("/")[0] for name in files} == {
        *("naslora_napari", "trainer", "resources", "tests", "benchmarks", "scripts", "docs", "LICENSES"),
        *("LICENSE", "README.md", "THIRD_PARTY.md", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "Makefile"),
        *("napari.yaml", "pyproject.toml", "PKG-INFO", ".gitignore"),
    }
    assert {
        "docs/conf.py",
        "docs/pictures/loop.png",
        "benchmarks/results/swap.json",
        "tests/test_packaging.py",
    } <= files
    assert not [name for name in files if "__pycache__" in name or name.endswith((".pyc", ".pth"))]
    assert sdist.stat().st_size < 5_000_000
