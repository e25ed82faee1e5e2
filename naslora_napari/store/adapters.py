"""The adapters of a project: named, noted, compared, handed on, taken over from others, and which one is in use."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from naslora_trainer.adapter_meta import MAX_BYTES, read_header
from naslora_trainer.errors import UserError
from naslora_trainer.files import make_folder, not_saved, saving

from .adapter_entries import AdapterEntry, entry_of
from .adapter_index import LONGEST_NAME, AdapterIndex, clean, read_index, write_index
from .links import own, plain
from .names import safe_name
from .records import LONGEST_NOTE
from .runs import list_adapters

SUFFIX = ".safetensors"
#: Where deleted adapters go, in ``adapters``.
BIN = "deleted"


class AdapterLibrary:
    """The folder ``adapters`` of a project.

    An adapter file never changes; what a person says of it stands in an index beside it, which may be missing or
    damaged: then the files are shown by what they say themselves. A key is the stem of a file that is there; nothing
    that is given is made a path. Methods may be called from several threads.

    Parameters
    ----------
    project : Path
        The folder of the project, resolved.
    take : callable
        Takes the project for a change; raises where another program has it.
    lock : RLock, optional
        Of all libraries of the project in this program.
    """

    def __init__(
        self, project: Path, take: Callable[[], None] = lambda: None, lock: threading.RLock | None = None
    ) -> None:
        self._project, self._take = project, take
        self._lock = threading.RLock() if lock is None else lock

    def entries(self) -> list[AdapterEntry]:
        """Return all adapters, the newest first; no tensor is read.

        Raises
        ------
        UserError
            The folder is a link that leads out of the project.
        """
        index = read_index(self._project)
        found = [entry_of(path, index) for path in self._files().values()]
        keys = {entry.id: entry.key for entry in found if entry.id}
        found = [replace(entry, parent=keys.get(entry.parent, entry.parent)) for entry in found]
        return sorted(found, key=lambda entry: (entry.created, entry.key), reverse=True)

    def __getitem__(self, key: str) -> AdapterEntry:
        """Return an adapter.

        Raises
        ------
        UserError
            There is none of that key.
        """
        return entry_of(self._file(key), read_index(self._project))

    @property
    def in_use(self) -> Path | None:
        """The file of the adapter that the person works with; None: the base model, or the file is gone."""
        return self._files().get(read_index(self._project).in_use)

    @property
    def base(self) -> str:
        """Id of the base model that the person works with; empty: the default."""
        return read_index(self._project).base

    def use(self, key: str, base: str | None = None) -> None:
        """Remember which adapter the person works with; empty: the base model.

        Parameters
        ----------
        key : str
            The adapter.
        base : str, optional
            Id of the base model that goes with it, empty for the default; None: as before.

        Raises
        ------
        UserError
            There is no such adapter, another program has the project, or the disk is full or read-only.
        """
        if key:
            self._file(key)
        self._change(lambda index: replace(index, in_use=key, base=index.base if base is None else base))

    def rename(self, key: str, name: str) -> None:
        """Call an adapter something else; an empty name: what it is.

        Raises
        ------
        UserError
            As for :meth:`use`.
        """
        self._file(key)
        self._change(lambda index: index.but(key, name=clean(name, LONGEST_NAME)))

    def note(self, key: str, note: str) -> None:
        """Note something about an adapter, in one line.

        Raises
        ------
        UserError
            As for :meth:`use`.
        """
        self._file(key)
        self._change(lambda index: index.but(key, note=clean(note, LONGEST_NOTE)))

    def delete(self, key: str) -> Path:
        """Move an adapter to ``adapters/deleted``, from where it can be imported again, and return where it is.

        Raises
        ------
        UserError
            It is in use; or as for :meth:`use`.
        """
        path = self._file(key)
        with self._lock:
            self._take()
            if read_index(self._project).in_use == key:
                raise UserError("The model in use cannot be deleted.", "Use another one first.")
            bin = make_folder(own(self._project, self._folder / BIN))
            target = next(place for place in _numbered(bin, key) if not os.path.lexists(place))
            try:
                os.replace(path, target)
            except OSError as error:
                raise not_saved(path, error) from error
            self._change(lambda index: index.without(key))
            return target

    def export_to(self, key: str, target: Path | str) -> Path:
        """Copy an adapter to one file for somebody else, and return that file; it is read and checked first.

        Parameters
        ----------
        key : str
            The adapter.
        target : Path
            The file, whose suffix is added where it is missing, or a folder: then it is named as the adapter.

        Raises
        ------
        UserError
            There is no such adapter, it is damaged, or the file cannot be written or is one of this library.
        """
        from naslora_trainer.adapter import Adapter  # needs torch

        entry, target = self[key], Path(target)
        if target.is_dir():
            target = target / f"{safe_name(entry.name)}{SUFFIX}"
        elif target.suffix != SUFFIX:
            target = target.with_name(target.name + SUFFIX)
        if target.resolve().parent == self._folder.resolve():
            raise UserError(f"{target} is in the folder of the project's own adapters.", "Choose another folder.")
        Adapter.load(entry.path)
        with saving(target) as temporary:
            shutil.copyfile(entry.path, temporary)
        return target

    def import_from(self, source: Path | str, base_fingerprint: str) -> AdapterEntry:
        """Copy an adapter of somebody else into the project; one that is there already is returned as it is.

        It is read as plain numbers, never unpickled. What is checked is the copy: its size, that it is an adapter, its
        SHA-256, that it belongs to the base model, and that all values are finite.

        Parameters
        ----------
        source : Path
            The file, which stays where it is.
        base_fingerprint : str
            Fingerprint of the base model that it must belong to.

        Raises
        ------
        UserError
            A check failed, another program has the project, or the file cannot be written; nothing is added then.
        """
        from naslora_trainer.adapter import Adapter  # needs torch

        source = plain(Path(source))
        called = clean(source.name) or "The file"
        header = read_header(source, called)
        if not header.sha256:
            raise UserError(f"{called} has no checksum, so it may be damaged.", "Ask for a file of a newer version.")
        with self._lock:
            self._take()
            there = next((entry for entry in self.entries() if entry.sha256 == header.sha256), None)
            if there is not None and not there.problem:
                return there
            folder = make_folder(self._folder)
            places = _numbered(folder, safe_name(source.name.removesuffix(SUFFIX)))
            target = next(place for place in places if not os.path.lexists(place))
            with saving(target) as temporary:
                _copy(source, temporary, header.size)
                Adapter.load(temporary, base_fingerprint, called)
                # Before the file has its name, so that nobody sees it as one of the project's own.
                self._change(lambda index: index.without(target.stem).but(target.stem, imported=True))
            return self[target.stem]

    # Inside

    @property
    def _folder(self) -> Path:
        return own(self._project, self._project / "adapters")

    def _files(self) -> dict[str, Path]:
        """Return the adapter files by their stem; those that lead out of the project are left out."""
        found = {}
        for path in list_adapters(self._folder):
            if not path.is_symlink() or path.resolve().is_relative_to(self._project):
                found[path.stem] = path
        return found

    def _file(self, key: str) -> Path:
        path = self._files().get(key)
        if path is None:
            raise UserError(f"The project has no adapter '{clean(key)}'.", "See 'naslora adapters'.")
        return path

    def _change(self, change: Callable[[AdapterIndex], AdapterIndex]) -> None:
        """Change the index as it is on disk now."""
        with self._lock:
            before = read_index(self._project)
            if (after := change(before)) != before:
                self._take()
                write_index(self._project, after)


def _numbered(folder: Path, stem: str) -> itertools.chain[Path]:
    """Yield file names to try, one after the other."""
    numbered = (folder / f"{stem}-{number}{SUFFIX}" for number in itertools.count(2))
    return itertools.chain([folder / f"{stem}{SUFFIX}"], numbered)


def _copy(source: Path, target: Path, size: int) -> None:
    """Copy no more than was announced: the file may be another one by now."""
    with source.open("rb") as read, target.open("wb") as write:
        left = min(size, MAX_BYTES)
        while left and (block := read.read(min(left, 2**20))):
            write.write(block)
            left -= len(block)
