"""Names that are file names on every system."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Collection
from pathlib import Path

ALLOWED = " ._-()+,=@"
LONGEST_BYTES = 200
#: Names that Windows keeps for devices.
RESERVED = {"con", "prn", "aux", "nul", *(f"{kind}{n}" for kind in ("com", "lpt") for n in range(1, 10))}


def safe_name(text: str, longest: int = LONGEST_BYTES) -> str:
    """Return ``text`` as a name that can be a file name on Linux, macOS and Windows.

    Letters and digits of every script stay; other characters become ``_``; at most ``longest`` UTF-8 bytes remain.
    A safe name is returned as it is.
    """
    normal = unicodedata.normalize("NFC", text)
    kept = "".join(c if c in ALLOWED or unicodedata.category(c)[0] in "LMN" else "_" for c in normal)
    name = kept.encode()[:longest].decode(errors="ignore").strip(" .") or "image"
    return f"_{name}" if name.split(".")[0].rstrip().casefold() in RESERVED else name


def unique_name(path: Path, taken: Collection[str]) -> str:
    """Return a name for an image file that is not in ``taken``, which holds case-folded names.

    It is the stem; if that is taken, the folder and the stem; then a number is added.
    """
    room = LONGEST_BYTES - 20  # for the number
    stem = safe_name(path.stem, room)
    numbered = (f"{stem}-{number}" for number in itertools.count(2))
    candidates = itertools.chain((stem, safe_name(f"{path.parent.name}_{path.stem}", room)), numbered)
    return next(name for name in candidates if name.casefold() not in taken)
