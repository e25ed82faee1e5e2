"""The registry of base models."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.resources

import pytest

from naslora_resources.registry import DEFAULT_MODEL, ModelEntry, models


def test_the_default_comes_first_and_needs_no_download() -> None:
    assert next(iter(models())) == DEFAULT_MODEL
    entry = models()[DEFAULT_MODEL]
    assert entry.source == "adapter" and models()[entry.base].source == "package"


@pytest.mark.parametrize("model_id", ["litemedsam-click", "litemedsam"])
def test_the_embedded_files_are_the_registered_ones(model_id: str) -> None:
    entry = models()[model_id]
    package, name = entry.package.split(":") if entry.package else ("naslora_resources", entry.adapter)
    content = importlib.resources.files(package).joinpath(name).read_bytes()
    assert len(content) == entry.size_bytes
    assert hashlib.sha256(content).hexdigest() == entry.sha256


@pytest.mark.parametrize("entry", models().values(), ids=list(models()))
def test_every_entry_is_complete(entry: ModelEntry) -> None:
    assert entry.architecture in {"tiny_vit_256", "vit_b", "vit_l", "vit_h"}
    assert len(entry.sha256) == 64 and int(entry.sha256, 16) > 0
    places = (entry.package, entry.url, entry.base, entry.adapter)
    assert (entry.source, *map(bool, places)) in {
        ("package", True, False, False, False),
        ("download", False, True, False, False),
        ("adapter", False, False, True, True),
    }
    assert not entry.url or entry.url.startswith("https://")
    assert set(entry.prompts) <= {"point", "box", "multimask"} and "box" in entry.prompts
    assert len(entry.pixel_mean) == len(entry.pixel_std) == 3
    assert entry.title and entry.licence and entry.citation


def test_an_entry_with_an_adapter_sees_images_as_its_base_does() -> None:
    for entry in models().values():
        if entry.source == "adapter":
            base = models()[entry.base]
            for field in ("architecture", "image_size", "pixel_mean", "pixel_std", "licence"):
                assert getattr(entry, field) == getattr(base, field)


def test_entries_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        models()[DEFAULT_MODEL].sha256 = ""  # type: ignore[misc]
