"""The sample project: copies of the sample tiles, most of them labelled, ready for a first fine-tune."""

from __future__ import annotations

import shutil
from pathlib import Path

from naslora_resources.samples import sample_folder
from naslora_trainer.errors import UserError
from naslora_trainer.images import list_images, read_labels

from .project import Project

#: Its folder, the project and the images to segment in it, and the tiles that the person labels.
NAME, PROJECT, NEW_IMAGES = "NAS-LoRA sample", "nuclei.naslora", "new images"
TO_LABEL = ("00", "02")


def make_sample(folder: Path) -> Path:
    """Make the sample project in a new folder, with more images beside it for a batch, and return the project.

    All tiles but those of :data:`TO_LABEL` are labelled completely.

    Parameters
    ----------
    folder : Path
        It must not exist, or be empty.

    Raises
    ------
    UserError
        The folder holds something, or cannot be written.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{folder} exists already.", "Choose a new folder for the sample project.")
    try:
        tiles = copied_tiles("labelled", folder / "images")
        copied_tiles("held_out", folder / NEW_IMAGES)
        shutil.copy(sample_folder("labelled").parent / "NOTICE", folder)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}.", "Choose another folder.") from error
    project = Project.create(folder / PROJECT, tiles, classes=("nucleus",))
    names = {entry.path.stem: entry.name for entry in project.images}
    for path in tiles:
        if path.stem not in TO_LABEL:
            masks = sample_folder("labelled") / "masks"
            project.import_labels(names[path.stem], read_labels(masks / path.name), complete=True)
    project.close()
    return project.path


def free_place(folder: Path) -> Path:
    """Return where in a folder the sample project can be: a name that is not taken."""
    places = (folder / (NAME if number == 1 else f"{NAME} {number}") for number in range(1, 1000))
    return next((place for place in places if not place.exists()), folder / NAME)


def copied_tiles(part: str, target: Path) -> list[Path]:
    """Copy the sample images of a part (see :func:`naslora_resources.samples.sample_folder`) into a new folder."""
    target.mkdir(parents=True)
    return [Path(shutil.copy(path, target / path.name)) for path in list_images(sample_folder(part) / "images")]
