"""A project: a folder in which every accepted object is on disk at that moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from naslora_resources.registry import models
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import Roi, TrainingImage
from naslora_trainer.errors import NotSavedError, UserError
from naslora_trainer.files import make_folder, not_saved
from naslora_trainer.pictures import picture_size

from . import edits, runs
from .adapters import AdapterLibrary
from .annotations import change_annotation, read_annotation, read_status, write_annotation
from .backups import backup_of, opened_manifest
from .edits import Edit
from .links import own
from .listed import ListedImages
from .manifest import (
    COLORS,
    FILE,
    Manifest,
    with_images,
    write_manifest,
)
from .owned import SUFFIX
from .records import (
    LONGEST_NOTE,
    Annotation,
    ClassInfo,
    ImageStatus,
    Marks,
    ObjectInfo,
    ProjectSummary,
    now,
)
from .snapshots import training_images
from .statuses import Signature, Statuses, signature_of
from .steps import StepFiles

ProjectError = UserError


class Project(ListedImages):
    """Images, their labels and the adapters learned from them, in a folder ``NAME.naslora``.

    Use :meth:`create` or :meth:`open`. Every change is on disk when its method returns; when it fails, the files
    and the object are what they were before. Methods may be called from several threads. One program at a time changes
    a project: the first change takes it (see :meth:`claim`) until :meth:`close`.

    Attributes
    ----------
    path : Path
        The folder, absolute.
    name : str
        Its name without ``.naslora``.
    classes : list of ClassInfo
        The classes that objects can have.
    images : list of ImageEntry
        The images, in the order in which they were added.
    owner : Owner or None
        Another program that has the project, so that it can only be read here.
    """

    def __init__(self, path: Path, manifest: Manifest, notices: Sequence[str] = ()) -> None:
        super().__init__(path, manifest, notices)
        #: Files that were read and found sound, or written here: what they looked like then.
        self._sound: dict[str, Signature] = {}
        self._sizes: dict[str, tuple[int, int]] = {}
        self._statuses = Statuses(path)
        self._adapters_lock = threading.RLock()

    @classmethod
    def create(cls, path: Path | str, images: Sequence[Path] = (), classes: Sequence[str] = ("object",)) -> Project:
        """Make a new project.

        Parameters
        ----------
        path : Path
            Its folder; ``.naslora`` is added where it is missing. It must not exist, or be empty.
        images : sequence of Path
            Image files; they stay where they are.
        classes : sequence of str
            Names of the classes.

        Raises
        ------
        UserError
            The folder is in use or cannot be written, an image cannot be read, or there is no class.
        """
        path = Path(path).resolve()
        path = path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)
        names = list(dict.fromkeys(name.strip() for name in classes))
        if not names or not all(names):
            raise UserError("A project needs at least one class, and each class a name.")
        infos = (ClassInfo(i, name, COLORS[(i - 1) % len(COLORS)]) for i, name in enumerate(names, 1))
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(f"{path} exists already.", "Open it or choose another name.")
        manifest, _ = with_images(Manifest(tuple(infos), ()), images)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            make_folder(path)
            write_manifest(path, manifest)
        except OSError as error:
            raise not_saved(path, error) from error
        return cls(path, manifest)

    @classmethod
    def open(cls, path: Path | str, write: bool = False) -> Project:
        """Open the project in a folder (its project.toml will do too).

        Parameters
        ----------
        path : Path
            The folder.
        write : bool
            Take it at once, and not only with the first change; see :attr:`read_only` whether another program has it.

        Raises
        ------
        UserError
            It is no project, damaged, or of a newer version of naslora-napari.
        """
        path = Path(path)
        if path.name == FILE:
            path = path.parent
        if not path.is_dir():
            raise UserError(f"The project {path} does not exist.", "Check the path.")
        path = path.resolve()
        project = cls(path, *opened_manifest(path))
        if write:
            try:
                project.claim()
            except NotSavedError as error:  # it can be read, and may be writable later
                project._notices.append(str(error))
        return project

    def close(self) -> None:
        """Let other programs change the project; a later change takes it again."""
        super().close()
        self._statuses.keep()

    @property
    def cache_dir(self) -> Path:
        """The folder for what can be computed again; it is made when it is missing."""
        return self._folder("cache")

    @property
    def steps(self) -> StepFiles:
        """The steps that a person may take back."""
        return StepFiles(own(self.path, self.path / "history"), (image.name for image in self.images))

    # Objects

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

    # Fine-tuning

    def snapshot(self, frame: int) -> list[TrainingImage]:
        """Return every image that has an object, with its labels as they are now, as a model sees them.

        Parameters
        ----------
        frame : int
            Side of the model's input, in pixels: of larger images there are the parts around the objects.

        Raises
        ------
        UserError
            An image or an annotation file is missing or damaged.
        """
        return list(self._training_images(frame))

    def new_run(self, config: FineTuneConfig, folder: Path | str | None = None) -> Path:
        """Return a new folder with job.json, data.h5 and run.sh, which a training process can run on any computer.

        Parameters
        ----------
        config : FineTuneConfig
            Settings.
        folder : Path, optional
            Which folder, new or empty; by default ``runs/<id>`` in the project.

        Raises
        ------
        UserError
            No image has an object, or the folder is in use or cannot be written.
        """
        images = self._training_images(models()[config.base].image_size)
        run = self._folder("runs") / runs.new_id() if folder is None else Path(folder).resolve()
        return runs.new_run(run, config, images)

    def runs(self) -> list[Path]:
        """Return the folders of the trainings of this project, oldest first (see :mod:`naslora_napari.store.runs`)."""
        return runs.list_runs(self.path / "runs")

    @property
    def library(self) -> AdapterLibrary:
        """The adapters that were kept, and which one is in use."""
        return AdapterLibrary(self.path, self._take, self._adapters_lock)

    def adapters(self) -> list[Path]:
        """Return the adapters that were kept, newest first."""
        return runs.list_adapters(self.path / "adapters")

    def adopt(self, run_dir: Path | str) -> Path:
        """Keep the adapter of a run and return its file in ``adapters/``.

        Raises
        ------
        UserError
            The run has no adapter, or the file cannot be written.
        """
        return runs.adopt(Path(run_dir), self._folder("adapters"))

    # Inside

    def _training_images(self, frame: int) -> Iterator[TrainingImage]:
        """Yield what a training learns from: all labels as they were at one moment, whatever is saved meanwhile."""
        self.refresh()  # which may take long, and then does not hold anybody up
        with self._lock:  # the files are small, and are unpacked later
            for error in self.refresh().values():
                raise error
            entries = self.images
            labelled = [entry.name for entry in entries if self._statuses[entry.name].objects]
            contents = {name: self._file(name).read_bytes() for name in labelled}
        sources: dict[Path, str] = {}
        for entry in entries:
            source = sources.setdefault(entry.path, entry.name)
            if entry.name in contents:
                picture = self._picture(entry)
                found = self._read_content(entry.name, picture.shape, contents.pop(entry.name))
                yield from training_images(entry.name, source, picture, found, frame, self.classes)

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
