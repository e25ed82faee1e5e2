"""What a person says of the adapters of a project, and which one is in use: a file beside them."""

from __future__ import annotations

import json
import logging
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from naslora_trainer.errors import UserError
from naslora_trainer.files import make_folder, write_json

from .links import own, plain
from .records import LONGEST_NOTE

log = logging.getLogger("naslora_napari")

FILE = "index.json"
VERSION = 1
#: A larger file is none that was written here, in bytes.
LARGEST_FILE = 2**24
LONGEST_NAME = 100


@dataclass(frozen=True)
class Remark:
    """What is said of one adapter; an empty name: that of the file counts."""

    name: str = ""
    note: str = ""
    imported: bool = False


@dataclass(frozen=True)
class AdapterIndex:
    """What is said of adapters, by the stem of their file.

    Attributes
    ----------
    in_use : str
        The adapter that the person works with; empty: the base model.
    base : str
        Id of the base model that the person works with; empty: the default.
    remarks : dict
        A :class:`Remark` of each of which something was said.
    """

    in_use: str = ""
    base: str = ""
    remarks: Mapping[str, Remark] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Remark:
        """Return what is said of an adapter."""
        return self.remarks.get(key, Remark())

    def but(self, key: str, **values: Any) -> AdapterIndex:
        """Return it with something else said of one adapter."""
        return replace(self, remarks={**self.remarks, key: replace(self[key], **values)})

    def without(self, key: str) -> AdapterIndex:
        """Return it with nothing said of an adapter."""
        return replace(self, remarks={name: said for name, said in self.remarks.items() if name != key})


def read_index(project: Path) -> AdapterIndex:
    """Return what the index in ``adapters`` says, as far as it is sound: files may come from strangers.

    Parameters
    ----------
    project : Path
        The folder of the project, resolved.
    """
    path = project / "adapters" / FILE
    try:
        if plain(own(project, path)).stat().st_size > LARGEST_FILE:
            raise ValueError("too large")
        content = json.loads(path.read_bytes())
        if content["version"] != VERSION:
            raise ValueError(f"of version {content['version']}")
        remarks = {str(key): _remark(values) for key, values in content["adapters"].items()}
        in_use, base = (text if isinstance(text := content.get(key), str) else "" for key in ("in_use", "base"))
        return AdapterIndex(in_use, base, remarks)
    except FileNotFoundError:
        return AdapterIndex()
    except (UserError, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        log.warning("%s is not used, adapters are shown by what their files say: %s", path, error)
        return AdapterIndex()


def write_index(project: Path, index: AdapterIndex) -> None:
    """Replace the index at once.

    Raises
    ------
    UserError
        The disk is full or read-only, or ``adapters`` leads out of the project; the old file is intact.
    """
    folder = make_folder(own(project, project / "adapters"))
    remarks = {
        key: {"name": said.name, "note": said.note, "imported": said.imported}
        for key, said in sorted(index.remarks.items())
        if said != Remark()
    }
    content = {"version": VERSION, "in_use": index.in_use, "base": index.base, "adapters": remarks}
    write_json(own(project, folder / FILE), content)


def clean(text: Any, longest: int = LONGEST_NAME) -> str:
    """Return what can be shown of a text: one line of at most so many characters, without control characters."""
    if not isinstance(text, str):
        return ""
    shown = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in unicodedata.normalize("NFC", text))
    return " ".join(shown.split())[:longest].strip()


def _remark(values: Any) -> Remark:
    if not isinstance(values, dict):
        return Remark()
    return Remark(clean(values.get("name")), clean(values.get("note"), LONGEST_NOTE), values.get("imported") is True)
