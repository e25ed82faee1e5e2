"""A project: a folder in which every accepted object is on disk at that moment."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from naslora_resources.registry import models
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage
from naslora_trainer.errors import DamagedError, NotSavedError, UserError
from naslora_trainer.files import make_folder, not_saved
from naslora_trainer.pictures import Picture, open_picture, picture_size

from . import edits, runs
from .annotations import Signature, change_annotation, read_annotation, read_counts, signature_of, write_annotation
from .backups import backup_of, opened_manifest, recovered, remove_interrupted
from .edits import Edit
from .links import own, plain
from .locking import LockedError, Owner, ProjectLock
from .manifest import COLORS, FILE, Manifest, read_manifest, with_images, with_limits, write_manifest
from .records import Annotation, ClassInfo, ImageEntry, ObjectInfo, ProjectSummary, now
from .snapshots import training_images
from .steps import StepFiles

T = TypeVar("T")
ProjectError = UserError
SUFFIX = ".naslora"
log = logging.getLogger("naslora_napari")


class Project:
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
        self.path = path
        self.owner: Owner | None = None
        self._manifest = manifest
        self._notices = list(notices)
        for notice in notices:
            log.warning(notice)
        self._writer = ProjectLock(path)
        weakref.finalize(self, self._writer.release)
        #: Files that were read and found sound, or written here: what they looked like then.
        self._sound: dict[str, Signature] = {}
        self._sizes: dict[str, tuple[int, int]] = {}
        self._counts: dict[str, tuple[Signature, tuple[int, bool]]] = {}
        self._lock = threading.RLock()

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

    def claim(self, force: bool = False) -> bool:
        """Be the one program that changes the project, and return whether that is so.

        Parameters
        ----------
        force : bool
            Take it from another program, which cannot save any more then.

        Raises
        ------
        NotSavedError
            The folder is gone or cannot be written.
        """
        with self._lock:
            self._check_there()
            if self.owner is None or force:
                new = not (self._writer.claimed or self._writer.held)  # else another thread may be writing now
                try:
                    self.owner = self._writer.claim(force)
                except OSError as error:
                    raise not_saved(self.path, error) from error
                if new and self.owner is None:
                    remove_interrupted(self.path)
            return self.owner is None

    def close(self) -> None:
        """Let other programs change the project; a later change takes it again."""
        self._writer.release()

    @property
    def read_only(self) -> bool:
        """Whether another program has the project: its labels cannot be changed here."""
        return self.owner is not None

    @property
    def silent_s(self) -> float:
        """For how many seconds the program that has the project was not heard of."""
        return self._writer.silent_s()

    def take_notices(self) -> list[str]:
        """Return, once, what a person has to know: what was damaged and recovered, or changed by somebody else."""
        with self._lock:
            notices, self._notices = self._notices, []
            return notices

    @property
    def name(self) -> str:
        """The name of the folder without ``.naslora``."""
        return self.path.name.removesuffix(SUFFIX)

    @property
    def classes(self) -> list[ClassInfo]:
        """The classes that objects can have."""
        return list(self._manifest.classes)

    @property
    def images(self) -> list[ImageEntry]:
        """The images, in the order in which they were added."""
        return list(self._manifest.images)

    @property
    def cache_dir(self) -> Path:
        """The folder for what can be computed again; it is made when it is missing."""
        return self._folder("cache")

    @property
    def steps(self) -> StepFiles:
        """The steps that a person may take back."""
        return StepFiles(own(self.path, self.path / "history"), (image.name for image in self.images))

    # Images and classes

    def add_images(self, paths: Sequence[Path]) -> list[str]:
        """Add image files and return their names; a file that is in the project already keeps its name.

        Raises
        ------
        UserError
            A file cannot be read as an image, or project.toml cannot be written; nothing is added then.
        """
        with self._lock:
            self._manifest = read_manifest(self.path)  # another program may have added some
            manifest, names = with_images(self._manifest, paths)
            if manifest != self._manifest:
                self._replace_manifest(manifest)
            return names

    def add_class(self, name: str, color: str = "") -> ClassInfo:
        """Add a class and return it; ``color`` is ``#rrggbb``, chosen where it is empty.

        Raises
        ------
        UserError
            The name is empty or taken, or project.toml cannot be written.
        """
        with self._lock:
            self._manifest = read_manifest(self.path)
            classes = self._manifest.classes
            if not name.strip() or any(c.name == name.strip() for c in classes):
                raise UserError(f"A class cannot be named '{name}'.", "Choose a name that is new and not empty.")
            info = ClassInfo(max(c.id for c in classes) + 1, name.strip(), color or COLORS[len(classes) % len(COLORS)])
            self._replace_manifest(replace(self._manifest, classes=(*classes, info)))
            return info

    def picture(self, name: str) -> Picture:
        """Open an image; a large one is read in parts.

        Raises
        ------
        UserError
            There is no image of that name, or its file is missing or damaged.
        """
        entry = self._existing(name)
        picture = open_picture(entry.path, entry.plane)
        return picture if entry.limits is None else replace(picture, limits=entry.limits)

    def set_limits(self, name: str, limits: tuple[float, float]) -> None:
        """Keep the contrast limits (low, high) of an image, and of all planes of its file.

        Raises
        ------
        UserError
            There is no such image, or project.toml cannot be written.
        """
        with self._lock:
            self._entry(name)
            self._replace_manifest(with_limits(self._manifest, name, limits))

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
            self._change(name, (), bool(complete))

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

    def summary(self) -> ProjectSummary:
        """Count images, annotated images, objects and complete images.

        Raises
        ------
        UserError
            An annotation file is damaged or of a newer version.
        """
        self._check_there()
        counts = [self._count(image.name) for image in self.images]
        annotated = sum(objects > 0 for objects, _ in counts)
        objects, complete = (sum(numbers) for numbers in zip((0, 0), *counts, strict=True))
        return ProjectSummary(len(counts), annotated, objects, complete)

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
        images: list[TrainingImage] = []
        sources: dict[Path, str] = {}
        for entry in self.images:
            source = sources.setdefault(entry.path, entry.name)
            path = self._file(entry.name)
            if path.exists() and self._count(entry.name)[0]:
                picture = self.picture(entry.name)
                found, _ = self._read(entry.name, partial(read_annotation, image=entry.name, shape=picture.shape))
                images += training_images(entry.name, source, picture, found, frame)
        return images

    def new_run(self, config: FineTuneConfig) -> Path:
        """Return a new folder ``runs/<id>`` with job.json and data.h5, which a training process can run.

        Raises
        ------
        UserError
            No image has an object, or the folder cannot be written.
        """
        return runs.new_run(self._folder("runs"), config, self.snapshot(models()[config.base].image_size))

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

    def _replace_manifest(self, manifest: Manifest) -> None:
        """Write the manifest, then use it."""
        self._take()
        write_manifest(self.path, manifest)
        self._manifest = manifest

    def _entry(self, name: str) -> ImageEntry:
        """Return the entry of an image."""
        for image in self._manifest.images:
            if image.name == name:
                return image
        raise UserError(f"The project {self.name} has no image '{name}'.")

    def _existing(self, name: str) -> ImageEntry:
        """Return the entry of an image whose file is there."""
        entry = self._entry(name)
        if not entry.path.exists():
            raise UserError(
                f"The image '{name}' is not at {entry.path} any more.",
                f"Move it back, or correct its path in {self.path / FILE}.",
            )
        plain(entry.path)
        if entry.path.is_relative_to(self.path):
            own(self.path, entry.path)
        return entry

    def _change(self, name: str, changes: Sequence[Edit], complete: bool | None = None) -> None:
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
        change_annotation(path, name, changes, complete, new, backup)
        self._sound[name] = signature_of(path)

    def _count(self, name: str) -> tuple[int, bool]:
        """Return how many objects an image has and whether it is complete."""
        path = self._file(name)
        signature = signature_of(path)
        if signature is None:
            return 0, False
        if name not in self._counts or self._counts[name][0] != signature:
            self._counts[name] = signature, self._read(name, lambda file: read_counts(file, name))[0]
        return self._counts[name][1]

    def _has_class(self, key: int) -> bool:
        """Return whether there is a class of this id; another program may have added it in the meantime."""
        if all(key != c.id for c in self._manifest.classes):
            self._manifest = read_manifest(self.path)
        return any(key == c.id for c in self._manifest.classes)

    def _file(self, name: str) -> Path:
        """Return the path of the annotation file of an image."""
        return own(self.path, self.path / "annotations" / f"{name}.h5")

    def _read(self, name: str, read: Callable[[Path], T]) -> tuple[T, bool]:
        """Read the annotation file of an image, or its backup; return also whether the file itself was sound."""
        path = self._file(name)
        try:
            return read(path), True
        except DamagedError as error:
            with self._lock:
                found, notice = recovered(self.path, path, read, error, repair=self._writer.held)
                if notice not in self._notices:
                    log.warning(notice)
                    self._notices.append(notice)
            return found, False

    def _check_there(self) -> None:
        """Refuse to go on where the folder of the project is gone."""
        if not (self.path / FILE).is_file():
            raise NotSavedError(f"{self.path} is not there any more.", "Connect the disk or network share again.")

    def _check_owner(self) -> None:
        """Refuse a change of a project that another program has."""
        if self.owner is not None:
            raise LockedError(
                f"The project {self.name} can only be read here: it was opened by {self.owner}.",
                "Close it there, then open it here again.",
            )

    def _take(self) -> None:
        """Take the project for a change."""
        self.claim()
        self._check_owner()

    def _folder(self, name: str) -> Path:
        """Return a folder of the project, made when it is missing."""
        return make_folder(self.path / name)
