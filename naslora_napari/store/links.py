"""Links in a project, which may come from a stranger: what is the project's own lies in the project."""

from __future__ import annotations

import itertools
import stat
from pathlib import Path

from naslora_trainer.errors import UserError


def own(folder: Path, path: Path) -> Path:
    """Return the path of a file or folder of a project in ``folder`` (resolved), which may be missing.

    Raises
    ------
    UserError
        A link leads out of the project.
    """
    parts = itertools.takewhile(lambda part: part != folder, (path, *path.parents))
    if any(part.is_symlink() for part in parts) and not path.resolve().is_relative_to(folder):
        raise UserError(
            f"{path} is a link that leads out of the project, to {path.resolve()}.",
            "Put the file or folder itself there.",
        )
    return path


def plain(path: Path) -> Path:
    """Return the path of a file or folder, or of nothing; a link to one will do.

    Raises
    ------
    UserError
        It is a device, a pipe or a socket, which could be read for ever.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return path
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UserError(f"{path} is no file, but a device, a pipe or a socket.", "Put the file itself there.")
    return path
