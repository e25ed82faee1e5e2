"""A project: a folder in which every accepted object is on disk at that moment."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from naslora_resources.registry import models
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage
from naslora_trainer.errors import NotSavedError, UserError
from naslora_trainer.files import make_folder, not_saved

from . import runs
from .adapters import AdapterLibrary
from .annotated import AnnotatedImages
from .backups import opened_manifest
from .links import own
from .manifest import COLORS, FILE, Manifest, with_images, write_manifest
from .owned import SUFFIX
from .records import ClassInfo
from .snapshots import training_images
from .steps import StepFiles

ProjectError = UserError


class Project(AnnotatedImages):
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

    @property
    def cache_dir(self) -> Path:
        """The folder for what can be computed again; it is made when it is missing."""
        return self._folder("cache")

    @property
    def steps(self) -> StepFiles:
        """The steps that a person may take back."""
        return StepFiles(own(self.path, self.path / "history"), (image.name for image in self.images))

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
