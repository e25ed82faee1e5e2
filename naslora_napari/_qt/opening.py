"""Where the project of an image or a folder is."""

from __future__ import annotations

from pathlib import Path

from naslora_trainer.errors import UserError
from naslora_trainer.images import list_images

from ..store import Project

SUFFIX = ".naslora"


def project_of_folder(folder: Path) -> Project:
    """Open the project ``FOLDER/NAME.naslora`` of a folder of images, or create it; new images are added.

    Raises
    ------
    UserError
        The folder holds no images, or the project cannot be read or written.
    """
    images = list_images(folder)
    return _with_images(folder / f"{folder.name or 'images'}{SUFFIX}", images)


def project_of_image(image: Path) -> Project:
    """Open the project ``STEM.naslora`` beside an image, or create it."""
    if not image.is_file():
        raise UserError(f"The image {image} does not exist.", "Choose another file.")
    return _with_images(image.with_name(f"{image.stem}{SUFFIX}"), [image])


def project_at(path: Path) -> Project:
    """Open a project, a folder of images, or a single image."""
    if path.suffix == SUFFIX:
        return Project.open(path)
    return project_of_folder(path) if path.is_dir() else project_of_image(path)


def _with_images(path: Path, images: list[Path]) -> Project:
    if not path.exists():
        return Project.create(path, images)
    project = Project.open(path)
    known = {entry.path.resolve() for entry in project.images}
    new = [image for image in images if image.resolve() not in known]
    if new:
        project.add_images(new)
    return project
