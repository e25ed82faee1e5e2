"""Which image of a project a file means, and where one that the project does not have may lie."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from naslora_trainer.errors import UserError
from naslora_trainer.images import IMAGE_SUFFIXES

from ..records import ImageEntry
from .neutral import Found

#: What programs add to the name of an image when they name its labels.
_ADDED = re.compile(r"[-_. ](cp_masks|masks?|labels?|segmentation|seg|rois|roiset|annotations?)$", re.IGNORECASE)


class Images:
    """The images of a project, by what files may call them.

    Parameters
    ----------
    entries : sequence of ImageEntry
        The images.
    """

    def __init__(self, entries: Sequence[ImageEntry]) -> None:
        self._entries = entries
        self._named: dict[str, dict[str, list[ImageEntry]]] = {"file": {}, "name": {}, "stem": {}}
        for entry in entries:
            keys = {"file": entry.path.name, "name": entry.name, "stem": entry.path.stem}
            for kind, key in keys.items():
                self._named[kind].setdefault(key, []).append(entry)

    def find(self, file_name: str) -> ImageEntry | None:
        """Return the image that a name means; None where there is none.

        Raises
        ------
        UserError
            There are several, or the name is empty and the project has not one image.
        """
        if not file_name:
            if len(self._entries) == 1:
                return self._entries[0]
            raise UserError("It does not tell its image.", "Name it like the image.")
        parts = _parts(file_name)
        for kind, key in _keys(parts[-1]) if parts else ():
            found = self._named[kind].get(key, [])
            if len(found) > 1:
                tail = [entry for entry in found if entry.path.parts[-len(parts) :] == parts]
                found = tail if len(tail) == 1 else found
            if len(found) > 1:
                raise UserError(
                    f"'{file_name}' may be {found[0].name} or {found[1].name}.", "Name it like one of them."
                )
            if found:
                return found[0]
        return None


def beside(found: Found) -> Path | None:
    """Return the image file that a name means in the folders where it may lie; None where there is none.

    The name never leads out of these folders.
    """
    parts = _parts(found.file_name)
    for folder in found.folders if parts else ():
        stem = Path(parts[-1])
        plain = [stem.name, *(f"{name}{suffix}" for name in _stems(stem.name) for suffix in IMAGE_SUFFIXES)]
        for candidate in (folder.joinpath(*parts), *(folder / name for name in plain)):
            if candidate.suffix.lower() in IMAGE_SUFFIXES and _is_file(candidate) and _within(candidate, folder):
                return candidate
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, for example
        return False


def _within(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _parts(file_name: str) -> tuple[str, ...]:
    """Return the folders and the name in what a file tells, without what leads up or to a root."""
    parts = file_name[:4096].replace("\\", "/").replace("\0", "").split("/")
    return tuple(part for part in parts if part not in ("", ".", "..") and not part.endswith(":"))


def _keys(name: str) -> Iterator[tuple[str, str]]:
    """Yield what a name may stand for, the surest first."""
    yield "file", name
    for stem in _stems(name):
        yield "name", stem
        yield "stem", stem


def _stems(name: str) -> list[str]:
    """Return a name without the suffix of an image, and without what programs add to it."""
    path = Path(name)
    stems = [name, path.stem] if path.suffix.lower() in IMAGE_SUFFIXES else [name]
    return list(dict.fromkeys([*stems, *(plain_name(stem) for stem in stems)]))


def plain_name(stem: str) -> str:
    """Return a name without what programs add to the name of an image when they name its labels."""
    return _ADDED.sub("", stem) or stem
