"""Images that were moved are found again in a folder, by what is in them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from naslora_trainer.decode import ZARR_SUFFIX

from .content import kind_of, known_content
from .records import ImageEntry

#: So many files and folders are looked at.
MOST_ENTRIES = 1_000_000


@dataclass(frozen=True)
class Relinked:
    """What became of images that were missing.

    Attributes
    ----------
    found : dict of str to Path
        Where they are now, by name.
    missing : tuple of str
        Names of those that were not found.
    cut_short : bool
        Whether the folder holds so much that not all of it was looked at.
    """

    found: Mapping[str, Path]
    missing: tuple[str, ...]
    cut_short: bool = False

    @property
    def text(self) -> str:
        """What became of them, for a person."""
        if not (self.found or self.missing):
            return "No image is missing."
        sentences = [f"Found again: {len(self.found)} of {len(self.found) + len(self.missing)} missing images."]
        if self.missing:
            more = f" and {len(self.missing) - 3} more" if len(self.missing) > 3 else ""
            sentences.append(f"Not found: {', '.join(self.missing[:3])}{more}.")
        if self.cut_short:
            sentences.append("The folder holds too much to look at all of it; choose one that is closer to the images.")
        return " ".join(sentences)


def found_again(lost: Sequence[ImageEntry], folder: Path, most: int = MOST_ENTRIES) -> Relinked:
    """Look for images in a folder and those in it; links are not followed.

    Parameters
    ----------
    lost : sequence of ImageEntry
        Images that are not at their path. One whose content is not known cannot be found.
    folder : Path
        Where to look.
    most : int
        So many files and folders are looked at.

    Returns
    -------
    Relinked
        A file counts only when its content is that of the image. Of several the one whose path is most like that of
        before is taken, so that equal images in different folders stay apart.
    """
    wanted = {entry.content for entry in lost if entry.content}
    kinds = {kind_of(content) for content in wanted}
    candidates: dict[str, list[Path]] = {}
    cut_short = False
    for seen, (path, kind) in enumerate(_files(folder)):
        if seen == most:
            cut_short = True
            break
        if kind in kinds:
            content = known_content(path)
            if content in wanted:
                candidates.setdefault(content, []).append(path)
    places: dict[Path, Path] = {}
    for entry in lost:
        if entry.path not in places and entry.content in candidates:
            places[entry.path] = _most_alike(entry.path, candidates[entry.content], places.values())
    found = {entry.name: places[entry.path] for entry in lost if entry.path in places}
    return Relinked(found, tuple(entry.name for entry in lost if entry.name not in found), cut_short)


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield files, OME-Zarr folders and folders below a folder, each with its kind; empty where it cannot be an image.

    What is in an OME-Zarr is not looked at; nor is what cannot be read.
    """
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    path = Path(entry.path)
                    if entry.is_dir(follow_symlinks=False):
                        zarr = path.suffix.lower() == ZARR_SUFFIX
                        yield path, "zarr" if zarr else ""
                        if not zarr:
                            waiting.append(path)
                    elif entry.is_file(follow_symlinks=False):
                        yield path, str(entry.stat(follow_symlinks=False).st_size)
        except OSError:
            continue


def _most_alike(before: Path, candidates: Sequence[Path], taken: Collection[Path]) -> Path:
    """Return the candidate that shares the longest end of its path with an old one; one that is free comes first."""

    def alike(path: Path) -> tuple[bool, int]:
        ends = zip(reversed(path.parts), reversed(before.parts), strict=False)
        return path not in taken, next((k for k, (one, two) in enumerate(ends) if one != two), len(before.parts))

    return max(sorted(candidates), key=alike)
