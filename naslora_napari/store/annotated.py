"""The labels of a project's images, each image in a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from naslora_trainer.data import Roi
from naslora_trainer.errors import NotSavedError, UserError
from naslora_trainer.pictures import picture_size

from . import edits
from .annotations import change_annotation, read_annotation, read_status, write_annotation
from .backups import backup_of
from .edits import Edit
from .listed import ListedImages
from .manifest import FILE, Manifest
from .records import LONGEST_NOTE, Annotation, ImageStatus, Marks, ObjectInfo, ProjectSummary, now
from .statuses import Signature, Statuses, signature_of


class AnnotatedImages(ListedImages):
    """A project's images with their objects and marks; what was changed is on disk when a method returns.

    Parameters
    ----------
    path, manifest, notices
        As for :class:`naslora_napari.store.listed.ListedImages`.
    """

    def __init__(self, path: Path, manifest: Manifest, notices: Sequence[str] = ()) -> None:
        super().__init__(path, manifest, notices)
        #: Files that were read and found sound, or written here: what they looked like then.
        self._sound: dict[str, Signature] = {}
        self._sizes: dict[str, tuple[int, int]] = {}
        self._statuses = Statuses(path)

    def close(self) -> None:
        """Let other programs change the project; a later change takes it again."""
        super().close()
        self._statuses.keep()

    def annotation(self, name: str) -> Annotation:
        """Return the labels of an image, which the caller may change; an image that nobody touched has none.

        Raises
        ------
        UserError
            The image is missing, or its annotation file is damaged, of another size or of a newer version.
        """
        with self._lock:
            self._check_there()  # or its labels would seem to be gone
            path = self._file(name)
            shape = self._sizes[name] = picture_size(self._existing(name).path)
            if not path.exists() and not backup_of(self.path, path).exists():
                return Annotation(np.zeros(shape, np.int32))
            signature = signature_of(path)
            found, sound = self._read(name, lambda file: read_annotation(file, name, shape))
            unknown = {info.class_id for info in found.objects.values() if not self._has_class(info.class_id)}
            if unknown:
                raise UserError(
                    f"{path} has objects of class {min(unknown)}, which {self.path / FILE} does not have.",
                    "Add the class there.",
                )
            self._sound[name] = signature if sound else None
            self._statuses.put(name, found.status)
            return found

    def add_object(self, name: str, mask: np.ndarray, info: ObjectInfo) -> int:
        """Add an object and return its id. Pixels of other objects stay theirs.

        Parameters
        ----------
        name : str
            The image.
        mask : ndarray
            ``(H, W)`` bool.
        info : ObjectInfo
            How it came about.

        Raises
        ------
        UserError
            The mask is of another size or has no free pixel, the class is unknown, or the file cannot be written.
        """
        with self._lock:
            info = info if info.time else replace(info, time=now())
            edit, key = edits.new_object(self.annotation(name), name, np.asarray(mask), info)
            self.save(name, edit)
            return key

    def remove_object(self, name: str, id: int) -> None:
        """Remove an object.

        Raises
        ------
        UserError
            There is no such object, or the file cannot be written.
        """
        with self._lock:
            self.save(name, edits.without_object(self.annotation(name), name, id))

    def save(self, name: str, *changes: Edit) -> None:
        """Change the labels of an image; that costs what the edits touch, not what the image measures.

        Parameters
        ----------
        name : str
            The image.
        *changes : Edit
            One after the other; each fits what :meth:`annotation` returned, after those before it.

        Raises
        ------
        UserError
            An object has an unknown class, the labels were changed elsewhere, or the file cannot be written.
        """
        with self._lock:
            self.check(*changes)
            self._change(name, changes)

    def check(self, *changes: Edit) -> None:
        """Refuse what cannot be saved however often it is tried.

        Raises
        ------
        LockedError
            Another program has the project.
        UserError
            An object has an unknown class.
        """
        self._check_owner()
        for edit in changes:
            for _, info in edit.objects.values():
                if info is not None and not self._has_class(info.class_id):
                    raise UserError(f"The project {self.name} has no class {info.class_id}.", "Add it first.")

    def set_complete(self, name: str, complete: bool) -> None:
        """Say whether every object of an image is labelled.

        Raises
        ------
        UserError
            The file cannot be written.
        """
        with self._lock:
            self._change(name, (), lambda marks: marks.but(complete=bool(complete)))

    def mark(
        self,
        name: str,
        complete: bool | None = None,
        skipped: bool | None = None,
        note: str | None = None,
        rois: Sequence[Roi] | None = None,
    ) -> None:
        """Say something about an image as a whole (see :class:`naslora_napari.store.records.Marks`); None: as it was.

        Raises
        ------
        UserError
            The note is too long, a region of interest is not inside the image, or the file cannot be written.
        """
        if note is not None and len(note) > LONGEST_NOTE:
            raise UserError(f"A note has at most {LONGEST_NOTE} characters.", "Shorten it.")
        with self._lock:
            self._change(name, (), lambda marks: marks.but(complete, skipped, note, rois))

    def import_labels(self, name: str, labels: np.ndarray, complete: bool) -> None:
        """Take over a label image for an image that has no objects yet.

        Raises
        ------
        UserError
            The image has objects, the plane is of another size or holds no labels, or the file cannot be written.
        """
        with self._lock:
            info = ObjectInfo(self._manifest.classes[0].id, "import", time=now())
            new = edits.with_import(self.annotation(name), name, np.asarray(labels), info, bool(complete))
            self._take()
            self._folder("annotations")
            path = self._file(name)
            write_annotation(path, name, new, backup_of(self.path, path))
            self._statuses.put(name, new.status)

    # How far the work is

    def summary(self) -> ProjectSummary:
        """Count images, annotated images, objects, complete and skipped images, as the files are now.

        Raises
        ------
        UserError
            An annotation file is damaged or of a newer version.
        """
        self._check_there()
        for error in self.refresh().values():
            raise error
        return self.known_summary()

    def known_summary(self) -> ProjectSummary:
        """Count as :meth:`summary` does what is known without looking at the disk."""
        return self._statuses.summary(len(self._manifest.images))

    def status(self, name: str) -> ImageStatus:
        """Return what is known of an image without looking at the disk; before :meth:`refresh` that may be nothing."""
        return self._statuses[name]

    def refresh(self, told: Callable[[Sequence[str]], None] = lambda names: None) -> dict[str, UserError]:
        """Bring what is known of each image up to date, and return why some could not be read, by name.

        Parameters
        ----------
        told : callable
            Gets the names of images of which something new is known, now and then.
        """
        return self._statuses.refresh([image.name for image in self.images], self._read_status, told)

    def _read_status(self, name: str) -> ImageStatus:
        return self._read(name, lambda file: read_status(file, name))[0]

    def _read_content(self, name: str, shape: tuple[int, int], content: bytes) -> Annotation:
        """Return the annotation in the bytes of a file; where they are damaged, that of its backup."""
        path = self._file(name)
        return self._read(name, lambda file: read_annotation(file, name, shape, content if file == path else None))[0]

    def _change(
        self, name: str, changes: Sequence[Edit], remark: Callable[[Marks], Marks] = lambda marks: marks
    ) -> None:
        """Change the annotation file of an image; one that another program wrote is read and checked before."""
        self._take()
        path = self._file(name)
        signature, backup = signature_of(path), backup_of(self.path, path)
        if signature is None and self._sound.get(name) is not None:
            raise NotSavedError(f"{path} is not there any more.", "Put it back, or open the image again.")
        missing = signature is None and backup.exists()
        if name not in self._sizes or missing or signature != self._sound.get(name):
            self.annotation(name)
            signature = signature_of(path)
        new = self._sizes[name] if signature is None else ()
        self._folder("annotations")
        status = change_annotation(path, name, changes, remark, new, backup)
        self._sound[name] = signature_of(path)
        self._statuses.put(name, status)
