"""Images and results as bytes, for workers that do not see the folders of the one who asks."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from naslora_trainer.files import saving_folder, write_bytes

from .results import Wanted
from .work import Model, Outcome, Task, do

#: A file, or the files of a folder by their path below it.
Content = bytes | dict[str, bytes]


@dataclass(frozen=True)
class Parcel:
    """An image on its way to a worker: what it is, what its file was when it was read, and the content of that."""

    task: Task
    stamp: list[int]
    content: Content | None


def packed(task: Task) -> Parcel:
    """Read an image; one that cannot be read is sent without content, and is found broken there."""
    try:
        stamp = task.stamp()
        return Parcel(task, stamp, content_of(task.path))
    except OSError:
        return Parcel(task, [], None)


def do_sent(parcel: Parcel, model: Model, wanted: Wanted, scratch: str) -> tuple[Outcome, list[Content]]:
    """Do all of it for one image on a worker, and return what came of it and the contents of its files."""
    task = parcel.task
    with tempfile.TemporaryDirectory(prefix="naslora-", dir=scratch, ignore_cleanup_errors=True) as folder:
        here, there = Path(folder) / "in" / task.name, replace(wanted, out=Path(folder) / "out")
        here.parent.mkdir(parents=True)
        if parcel.content is not None:
            write_content(here, parcel.content)
        there.labels_of(task.name).parent.mkdir(parents=True)
        outcome = do(Task(here, task.name), model, there)
        if outcome.error:
            return Outcome(outcome.entry | {"error": outcome.error.replace(str(here), str(task.path))}), []
        return outcome, [content_of(path) for path in there.files_of(task.name, outcome.is_stack)]


def unpacked(parcel: Parcel, outcome: Outcome, contents: list[Content], wanted: Wanted) -> Outcome:
    """Write the files of an image that came home, the label image last, and return what came of it here.

    Raises
    ------
    NotSavedError
        They cannot be written.
    ValueError
        They are not what was asked for.
    """
    if outcome.error:
        return outcome
    paths = wanted.files_of(parcel.task.name, outcome.is_stack)
    for path, content in reversed(list(zip(paths, contents, strict=True))):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_content(path, content)
    sizes = wanted.sizes_of(parcel.task.name, outcome.is_stack)
    return Outcome(outcome.entry | {"stamp": parcel.stamp, "sizes": sizes}, outcome.rows)


def content_of(path: Path) -> Content:
    """Return the content of a file, or of all files of a folder.

    Raises
    ------
    OSError
        It cannot be read.
    """
    if not path.is_dir():
        return path.read_bytes()
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def write_content(path: Path, content: Content) -> None:
    """Write what :func:`content_of` has read.

    Raises
    ------
    NotSavedError
        It cannot be written.
    ValueError
        A file would lie outside the folder.
    """
    if isinstance(content, bytes):
        write_bytes(path, content)
        return
    with saving_folder(path) as temporary:
        for name, part in content.items():
            relative = PurePosixPath(name)
            if relative.is_absolute() or ".." in relative.parts:
                raise ValueError(f"{name[:80]} lies outside the folder")
            file = temporary / relative
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(part)
