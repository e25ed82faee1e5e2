"""The images and classes of a project, as project.toml lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from naslora_trainer.channels import Channels
from naslora_trainer.errors import UserError
from naslora_trainer.pictures import Picture, check_choice, choice_of, open_picture

from .content import known_content
from .links import own, plain
from .manifest import (
    COLORS,
    Manifest,
    read_manifest,
    with_channels,
    with_contents,
    with_images,
    with_limits,
    with_paths,
    write_manifest,
)
from .owned import OwnedFolder
from .records import ClassInfo, ImageEntry
from .relinking import Relinked, found_again


class ListedImages(OwnedFolder):
    """A project's images, wherever they are, and its classes.

    Parameters
    ----------
    path : Path
        The folder of the project, absolute.
    manifest : Manifest
        What its project.toml says.
    notices : sequence of str
        What a person has to know.

    Attributes
    ----------
    classes : list of ClassInfo
        The classes that objects can have.
    images : list of ImageEntry
        The images, in the order in which they were added.
    """

    def __init__(self, path: Path, manifest: Manifest, notices: Sequence[str] = ()) -> None:
        super().__init__(path, notices)
        self._manifest = manifest
        self._by_name = {image.name: image for image in manifest.images}

    @property
    def classes(self) -> list[ClassInfo]:
        """The classes that objects can have."""
        return list(self._manifest.classes)

    @property
    def images(self) -> list[ImageEntry]:
        """The images, in the order in which they were added."""
        return list(self._manifest.images)

    def add_images(self, paths: Sequence[Path]) -> list[str]:
        """Add image files and return their names; a file that is in the project already keeps its name.

        Raises
        ------
        UserError
            A file cannot be read as an image, or project.toml cannot be written; nothing is added then.
        """
        with self._lock:
            self._use(read_manifest(self.path))  # another program may have added some
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
            self._use(read_manifest(self.path))
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
        return self._picture(self._entry(name))

    def _picture(self, entry: ImageEntry) -> Picture:
        """Open the image of an entry."""
        self._image_there(entry)
        picture = open_picture(entry.path, entry.plane, channels=entry.channels)
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

    def channel_names(self, name: str) -> tuple[str, ...]:
        """Return the names of the channels of an image of which some can be chosen; empty: there is no choice.

        Raises
        ------
        UserError
            There is no image of that name, or its file is missing or damaged.
        """
        entry = self._entry(name)
        self._image_there(entry)
        return choice_of(entry.path)

    def channels(self, name: str) -> Channels:
        """Return the channels that were chosen for an image; empty: none were."""
        return self._entry(name).channels

    def set_channels(self, name: str, channels: Channels) -> None:
        """Choose the channels of an image, and of all planes of its file; contrast limits are forgotten.

        Raises
        ------
        UserError
            There is no such image, its file does not have them, or project.toml cannot be written.
        """
        with self._lock:
            entry = self._entry(name)
            self._image_there(entry)
            check_choice(entry.path, channels, len(choice_of(entry.path)))
            self._replace_manifest(with_channels(self._manifest, name, channels))

    def missing(self) -> list[str]:
        """Return the names of images that are not at their path any more; this looks at every path."""
        there = {path: path.exists() for path in dict.fromkeys(image.path for image in self.images)}
        return [image.name for image in self.images if not there[image.path]]

    def learn_contents(self) -> None:
        """Note what is in image files of which that is not known, so that they are found again when they are moved.

        Raises
        ------
        UserError
            Another program has the project, or project.toml cannot be written.
        """
        paths = dict.fromkeys(image.path for image in self.images if not image.content)
        contents = {path: content for path in paths if (content := known_content(path))}
        if contents:
            with self._lock:
                self._replace_manifest(with_contents(read_manifest(self.path), contents))

    def relink(self, folder: Path | str) -> Relinked:
        """Look in a folder, and those in it, for images that are not at their path any more, and correct the paths.

        A file is only taken when its content is that of the image (see :mod:`naslora_napari.store.content`).

        Raises
        ------
        UserError
            The folder does not exist, another program has the project, or project.toml cannot be written.
        """
        folder = Path(folder).resolve()
        if not folder.is_dir():
            raise UserError(f"The folder {folder} does not exist.", "Check the path.")
        result = found_again([self._entry(name) for name in self.missing()], folder)
        if result.found:
            with self._lock:
                self._replace_manifest(with_paths(read_manifest(self.path), result.found))
        return result

    # Inside

    def _replace_manifest(self, manifest: Manifest) -> None:
        """Write the manifest, then use it."""
        self._take()
        write_manifest(self.path, manifest)
        self._use(manifest)

    def _use(self, manifest: Manifest) -> None:
        """Use a manifest that is on disk."""
        self._manifest, self._by_name = manifest, {image.name: image for image in manifest.images}

    def _entry(self, name: str) -> ImageEntry:
        """Return the entry of an image."""
        entry = self._by_name.get(name)
        if entry is None:
            raise UserError(f"The project {self.name} has no image '{name}'.")
        return entry

    def _existing(self, name: str) -> ImageEntry:
        """Return the entry of an image whose file is there."""
        return self._image_there(self._entry(name))

    def _image_there(self, entry: ImageEntry) -> ImageEntry:
        """Return an entry whose file is there, and is a file."""
        if not entry.path.exists():
            raise UserError(
                f"The image '{entry.name}' is not at {entry.path} any more.",
                "Move it back, or look for it in another folder with 'Find images…'.",
            )
        plain(entry.path)
        if entry.path.is_relative_to(self.path):
            own(self.path, entry.path)
        return entry

    def _has_class(self, key: int) -> bool:
        """Return whether there is a class of this id; another program may have added it in the meantime."""
        if all(key != c.id for c in self._manifest.classes):
            self._use(read_manifest(self.path))
        return any(key == c.id for c in self._manifest.classes)
