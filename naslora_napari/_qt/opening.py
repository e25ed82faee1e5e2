"""Where the project of an image or a folder is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from naslora_trainer.decode import is_zarr
from naslora_trainer.errors import UserError
from naslora_trainer.images import list_images
from naslora_trainer.pictures import picture_size

from ..store import Project

SUFFIX = ".naslora"


@dataclass(frozen=True)
class Opened:
    """A project, and what is wrong with images that were left out of it."""

    project: Project
    left_out: tuple[str, ...] = ()


def project_of_folder(folder: Path) -> Opened:
    """Open the project ``FOLDER/NAME.naslora`` of a folder of images, or create it; new images are added.

    An image that cannot be read is left out.

    Raises
    ------
    UserError
        The folder holds no readable images, or the project cannot be read or written.
    """
    images, left_out = _readable(list_images(folder))
    opened = _with_images(folder / f"{folder.name or 'images'}{SUFFIX}", images)
    return Opened(opened.project, opened.left_out + left_out)


def project_of_image(image: Path) -> Opened:
    """Open the project ``STEM.naslora`` beside an image, or create it."""
    if not (image.is_file() or is_zarr(image)):
        raise UserError(f"The image {image} does not exist.", "Choose another file.")
    return _with_images(image.with_name(f"{image.stem}{SUFFIX}"), [image])


def project_at(path: Path) -> Opened:
    """Open a project, a folder of images, or a single image."""
    if path.suffix == SUFFIX:
        return Opened(Project.open(path, write=True))
    return project_of_folder(path) if path.is_dir() and not is_zarr(path) else project_of_image(path)


def _readable(images: list[Path]) -> tuple[list[Path], tuple[str, ...]]:
    """Return the images that can be read, and a sentence about each other one; raise the last error when none can."""
    readable: list[Path] = []
    errors: list[UserError] = []
    for path in images:
        try:
            picture_size(path)
        except UserError as error:
            errors.append(error)
        else:
            readable.append(path)
    if not readable:
        raise errors[-1]
    return readable, tuple(str(error) for error in errors)


def _with_images(path: Path, images: list[Path]) -> Opened:
    if not path.exists():
        return Opened(Project.create(path, images))
    project = Project.open(path, write=True)
    known = {entry.path.resolve() for entry in project.images}
    new = [image for image in images if image.resolve() not in known]
    if new and project.read_only:
        return Opened(project, (f"{new[0]} is new, and {project.name} was opened by {project.owner}",))
    if new:
        project.add_images(new)
    return Opened(project)
