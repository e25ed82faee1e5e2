from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from naslora_napari.live.embeddings import Embedding, EmbeddingCache, embedding_key
from naslora_trainer.regions import Region

SEEN = (64, 64)
PIXELS = np.zeros((*SEEN, 3), np.uint8)
REGION = Region(0, 0, *SEEN)


def embedding(value: float) -> Embedding:
    key = embedding_key(PIXELS, REGION, f"model {value}")
    return Embedding(torch.full((1, 4, 8, 8), value), SEEN, key)


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(ram_bytes=3 * embedding(0).features.nbytes, folder=tmp_path / "embeddings")


def test_the_key_holds_pixels_region_and_weights() -> None:
    other = PIXELS.copy()
    other[3, 4, 1] = 1
    keys = {
        embedding_key(PIXELS, REGION, "a"),
        embedding_key(other, REGION, "a"),
        embedding_key(PIXELS, Region(0, 1, 64, 65), "a"),
        embedding_key(PIXELS, REGION, "b"),
        embedding_key(PIXELS.reshape(32, 128, 3), REGION, "a"),
    }
    assert len(keys) == 5 and embedding_key(PIXELS.copy(), REGION, "a") in keys


def test_memory_is_bounded_and_what_was_used_last_stays(cache: EmbeddingCache) -> None:
    cache.folder = None
    made = [embedding(value) for value in range(4)]
    for one in made[:3]:
        cache.put(one)
    assert cache.get(made[0].key, SEEN) is made[0]
    cache.put(made[3])
    assert cache.nbytes <= cache.ram_bytes
    assert cache.get(made[1].key, SEEN) is None and cache.get(made[0].key, SEEN) is made[0]


def test_another_session_finds_it_on_disk(cache: EmbeddingCache) -> None:
    one = embedding(0.5)
    cache.put(one)
    again = EmbeddingCache(folder=cache.folder).get(one.key, SEEN)
    assert again is not None and torch.equal(again.features, one.features)


@pytest.mark.parametrize("content", [b"", b"\x00" * 200, None])
def test_a_damaged_file_counts_as_none(cache: EmbeddingCache, content: bytes | None) -> None:
    one = embedding(float("nan")) if content is None else embedding(1)
    cache.put(one)
    assert cache.folder is not None
    (file,) = cache.folder.iterdir()
    if content is not None:
        file.write_bytes(content)
    assert EmbeddingCache(folder=cache.folder).get(one.key, SEEN) is None


def test_the_disk_is_bounded_too(cache: EmbeddingCache) -> None:
    assert cache.folder is not None
    made = [embedding(value) for value in range(4)]
    cache.put(made[0])
    (size,) = (file.stat().st_size for file in cache.folder.iterdir())
    cache.disk_bytes = 2 * size
    for age, one in enumerate(made[1:]):
        for file in cache.folder.iterdir():
            os.utime(file, (age, age))
        cache.put(one)
    kept = {file.name.partition(".")[0] for file in cache.folder.iterdir()}
    assert len(kept) == 2 and made[3].key in kept


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    cache = EmbeddingCache(folder=tmp_path / "file" / "embeddings")
    one = embedding(1)
    cache.put(one)
    assert cache.get(one.key, SEEN) is one
