"""Embeddings that were computed before: in RAM and on disk, both bounded in bytes."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from naslora_trainer.regions import Region

#: Bounds, in bytes: an embedding of a SAM takes 4 MiB.
RAM_BYTES, DISK_BYTES = 512 * 2**20, 2 * 2**30
SUFFIX = ".embedding.safetensors"


@dataclass(frozen=True, eq=False)
class Embedding:
    """What the image encoder makes of one region of an image.

    Attributes
    ----------
    features : Tensor
        (1, 256, 64, 64) float32.
    seen : tuple of int
        Rows and columns of the region as the encoder was given it, before its own scaling.
    key : str
        See :func:`embedding_key`.
    """

    features: Tensor
    seen: tuple[int, int]
    key: str


def embedding_key(rgb: np.ndarray, region: Region, model: str) -> str:
    """Return a name that holds all that an embedding depends on, so that none is ever used for another.

    Parameters
    ----------
    rgb : ndarray
        ``(h, w, 3)`` uint8: the pixels, as the encoder is given them.
    region : Region
        Where they are in the image.
    model : str
        Fingerprint of the weights of base and adapter.
    """
    place = f"{model} {region.row0} {region.col0} {region.row1} {region.col1} {rgb.shape}"
    digest = hashlib.sha256(place.encode())
    digest.update(np.ascontiguousarray(rgb).data)
    return digest.hexdigest()


class EmbeddingCache:
    """Embeddings by key, those used last. May be used from several threads.

    Parameters
    ----------
    ram_bytes, disk_bytes : int
        Bounds; what was not used for the longest time goes first.
    folder : Path, optional
        Where they are kept between sessions; it is always safe to delete. None: in RAM only.
    """

    def __init__(self, ram_bytes: int = RAM_BYTES, folder: Path | None = None, disk_bytes: int = DISK_BYTES) -> None:
        self.ram_bytes, self.disk_bytes = ram_bytes, disk_bytes
        self.folder = folder
        self._found: OrderedDict[str, Embedding] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes in RAM."""
        with self._lock:
            return sum(embedding.features.nbytes for embedding in self._found.values())

    def get(self, key: str, seen: tuple[int, int]) -> Embedding | None:
        """Return an embedding, from RAM or disk, or None; a damaged file counts as none."""
        from naslora_trainer.cache import read_features

        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
        file = self._file(key)
        features = None if file is None else read_features(file)
        if file is None or features is None or not _sound(features):
            return None
        with suppress(OSError):
            file.touch()  # the time of its last use
        found = Embedding(features, seen, key)
        self._keep(found)
        return found

    def put(self, embedding: Embedding) -> None:
        """Keep an embedding; a full disk only costs time later."""
        from naslora_trainer.cache import write_features

        self._keep(embedding)
        file = self._file(embedding.key)
        if file is not None and not file.exists():
            write_features(file, embedding.features)
            self._tidy_disk()

    def _keep(self, embedding: Embedding) -> None:
        with self._lock:
            self._found[embedding.key] = embedding
            total = sum(kept.features.nbytes for kept in self._found.values())
            while total > self.ram_bytes and len(self._found) > 1:  # the newest is in use
                total -= self._found.popitem(last=False)[1].features.nbytes

    def _file(self, key: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{key}{SUFFIX}"

    def _tidy_disk(self) -> None:
        """Delete what was not used for the longest time, until the rest fits."""
        assert self.folder is not None
        with suppress(OSError):
            files = [(found.stat(), found) for found in self.folder.glob(f"*{SUFFIX}")]
            total = sum(stat.st_size for stat, _ in files)
            for stat, file in sorted(files, key=lambda pair: pair[0].st_mtime):
                if total <= self.disk_bytes:
                    break
                file.unlink(missing_ok=True)
                total -= stat.st_size


def _sound(features: Tensor) -> bool:
    """Return whether a tensor from disk can be an embedding."""
    return (
        features.ndim == 4
        and features.shape[0] == 1
        and str(features.dtype) == "torch.float32"
        and bool(features.isfinite().all())
    )
