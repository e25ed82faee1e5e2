"""The registry of base models."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.resources

import pytest

from naslora_resources.registry import DEFAULT_MODEL, ModelEntry, models


def test_the_default_comes_first_and_needs_no_download() -> None:
    assert next(iter(models())) == DEFAULT_MODEL
    assert models()[DEFAULT_MODEL].source == "package"


def test_the_embedded_weights_are_the_registered_ones() -> None:
    entry = models()[DEFAULT_MODEL]
    package, name = entry.package.split(":")
    weights = importlib.resources.files(package).joinpath(name).read_bytes()
    assert len(weights) == entry.size_bytes
    assert hashlib.sha256(weights).hexdigest() == entry.sha256


@pytest.mark.parametrize("entry", models().values(), ids=list(models()))
def test_every_entry_is_complete(entry: ModelEntry) -> None:
    assert entry.architecture in {"tiny_vit_256", "vit_b", "vit_l", "vit_h"}
    assert len(entry.sha256) == 64 and int(entry.sha256, 16) > 0
    assert (entry.source, bool(entry.package), bool(entry.url)) in {
        ("package", True, False),
        ("download", False, True),
    }
    assert not entry.url or entry.url.startswith("https://")
    assert set(entry.prompts) <= {"point", "box"} and entry.prompts
    assert len(entry.pixel_mean) == len(entry.pixel_std) == 3
    assert entry.title and entry.licence and entry.citation


def test_entries_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        models()[DEFAULT_MODEL].sha256 = ""  # type: ignore[misc]
