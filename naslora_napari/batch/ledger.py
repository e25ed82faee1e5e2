"""What of a folder is done, with which model: one JSON line per image, beside the results."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from naslora_trainer.errors import UserError
from naslora_trainer.files import not_saved, saving

LEDGER = "segmented.jsonl"
VERSION = 1
#: A longer line is none of ours.
LONGEST_LINE = 1 << 16

Entry = dict[str, Any]


class Ledger:
    """The images that are done.

    The first line names the model and the settings; what was made with others does not count. An image is added when
    all its results are on the disk, so that a crash leaves at most one line half-written, which is not read.

    Parameters
    ----------
    path : Path
        The file.
    settings : dict
        Model and settings, as JSON.
    folder : str
        Where the images are. It may change: what was made of them still counts.
    """

    def __init__(self, path: Path, settings: dict[str, Any], folder: str = "") -> None:
        self.path = path
        self._head = {"naslora_batch": VERSION, "settings": settings}
        self._folder = folder

    @property
    def same_settings(self) -> bool:
        """Whether the file was begun with this model and these settings."""
        return self._is_head(next(_documents(self.path), {}))

    def entries(self) -> Iterator[Entry]:
        """Yield what is noted, oldest first; nothing of another model."""
        documents = _documents(self.path)
        if self._is_head(next(documents, {})):
            yield from (entry for entry in documents if isinstance(entry.get("name"), str))

    def start(self, holds: Callable[[Entry], bool] = lambda entry: False) -> None:
        """Begin the file anew with the entries that still hold.

        Raises
        ------
        UserError
            It cannot be written.
        """
        with saving(self.path) as temporary, temporary.open("wb") as file:
            file.write(_line(self._head | {"folder": self._folder}))
            for entry in self.entries():
                if holds(entry):
                    file.write(_line(entry))

    def add(self, entry: Entry) -> None:
        """Note an image, on the disk when this returns.

        Raises
        ------
        UserError
            It cannot be written.
        """
        append(self.path, _line(entry))

    def _is_head(self, document: Entry) -> bool:
        return {key: document.get(key) for key in self._head} == self._head


def read_ledger(path: Path) -> tuple[dict[str, Any], str, Iterator[Entry]]:
    """Return the settings of a run whatever they are, the folder of its images or nothing, and its entries.

    Raises
    ------
    UserError
        It is no ledger.
    """
    documents = _documents(path)
    head = next(documents, {})
    settings, folder = head.get("settings"), head.get("folder", "")
    if head.get("naslora_batch") != VERSION or not isinstance(settings, dict) or not isinstance(folder, str):
        raise UserError(f"{path.parent} holds no results of a segmented folder.", "Choose the folder with the results.")
    return settings, folder, (entry for entry in documents if isinstance(entry.get("name"), str))


def append(path: Path, content: bytes) -> None:
    """Add to a file, on the disk when this returns.

    Raises
    ------
    UserError
        It cannot be written.
    """
    try:
        with path.open("ab") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise not_saved(path, error) from error


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True).encode("ascii") + b"\n"


def _documents(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a file up to the first line that is none."""
    try:
        file = path.open("rb")
    except OSError:
        return
    with file:
        while (line := file.readline(LONGEST_LINE)).endswith(b"\n"):
            try:
                document = json.loads(line)
            except (ValueError, RecursionError):
                return
            if not isinstance(document, dict):
                return
            yield document
