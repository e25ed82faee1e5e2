"""Doubts about the images of a project, computed once for each model and kept in the project's cache."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from naslora_trainer.files import atomic_write, keep_newest
from naslora_trainer.pictures import Picture

from ..store.content import known_content
from ..store.listing import FINISHED, StatusOf
from ..store.records import ImageEntry
from .doubt import Doubt, doubt_of
from .predictor import LivePredictor

log = logging.getLogger("naslora_napari")

SUFFIX = ".doubt.json"
#: Raised when :func:`naslora_napari.live.doubt.doubt_of` measures otherwise than before.
MEASURE = 2
#: So many are kept; the oldest are removed first.
MOST = 20_000
#: A larger file is none of these, in bytes.
LARGEST_FILE = 2**18


class KeptDoubts:
    """Doubts by image and model. A file that cannot be written only costs time later.

    Parameters
    ----------
    folder : Path or None
        Where they are kept; always safe to delete. None: in memory only.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._found: dict[str, Doubt] = {}

    def get(self, entry: ImageEntry, identity: tuple[str, str]) -> Doubt | None:
        """Return what is known of an image as it is on the disk now; None where that model has not seen it.

        Parameters
        ----------
        entry : ImageEntry
            The image.
        identity : tuple of str
            See :attr:`naslora_napari.live.LivePredictor.identity`.
        """
        key = _key(entry, identity)
        if not key:
            return None
        if key not in self._found:
            kept = self._read(key)
            if kept is None:
                return None
            self._found[key] = kept
        return self._found[key]

    def measure(self, entry: ImageEntry, open_picture: Callable[[], Picture], predictor: LivePredictor) -> Doubt:
        """Return the doubt of the model in use about an image, as it is known, or measured now (some seconds).

        Raises
        ------
        UserError
            The image cannot be opened.
        """
        known = self.get(entry, predictor.identity)
        if known is not None:
            return known
        before = known_content(entry.path)
        look = predictor.look(open_picture())
        found = doubt_of(look)
        key = _key(entry, look.identity, before)
        if key and before == known_content(entry.path):  # nobody wrote it meanwhile
            self._found[key] = found
            self._write(key, found)
        return found

    def _read(self, key: str) -> Doubt | None:
        if self._folder is None:
            return None
        path = self._folder / f"{key}{SUFFIX}"
        try:
            if path.stat().st_size > LARGEST_FILE:
                return None
            return Doubt.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None

    def _write(self, key: str, doubt: Doubt) -> None:
        if self._folder is None:
            return
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._folder / f"{key}{SUFFIX}") as temporary:
                temporary.write_text(doubt.model_dump_json(), encoding="utf-8")
            keep_newest(self._folder, SUFFIX, MOST)


def to_label(entries: Iterable[ImageEntry], status_of: StatusOf) -> list[ImageEntry]:
    """Return the images that are neither complete nor skipped."""
    return [entry for entry in entries if status_of(entry.name).state not in FINISHED]


def labelled(entries: Iterable[ImageEntry], status_of: StatusOf) -> list[ImageEntry]:
    """Return the images that are complete and have objects: nothing that is like them is new to the model."""
    found = ((entry, status_of(entry.name)) for entry in entries)
    return [entry for entry, status in found if status.state == "complete" and status.objects]


def _key(entry: ImageEntry, identity: tuple[str, str], content: str | None = None) -> str:
    """Return a name that holds all that a doubt depends on; empty where the file cannot be read."""
    content = known_content(entry.path) if content is None else content
    if not content:
        return ""
    what = f"{MEASURE}|{identity}|{content}|{entry.plane}|{entry.limits}|{entry.channels}"
    return hashlib.sha256(what.encode("utf-8", "surrogatepass")).hexdigest()[:40]
