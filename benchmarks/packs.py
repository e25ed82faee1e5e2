"""The benchmark targets: which images there are, which train, and which are held out and only judge.

Numbers in a pack are grouped by the type of image, so no split goes by position.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from naslora_trainer.data import TrainingImage
from naslora_trainer.images import paired, read_image, read_labels, to_rgb8


@dataclass(frozen=True)
class Target:
    """What is to be segmented in the images of one pack.

    Attributes
    ----------
    pack, masks : str
        Folder of the pack, and the folder in it with the label images.
    images : int
        How many images the pack has; their numbers are 0 to ``images - 1``.
    labelled : tuple of int
        The 8 training images of seed 0.
    shifts : tuple of int
        By how much the training images of seed 0, 1, 2 are shifted.
    held_out : tuple of int
        Numbers of the images that only judge.
    """

    pack: str
    masks: str
    images: int
    labelled: tuple[int, ...]
    shifts: tuple[int, ...]
    held_out: tuple[int, ...]


_COFFEE = (0, 4, 8, 12, 16, 20, 24, 28)
TARGETS: dict[str, Target] = {
    "nuclei": Target("dsb2018_nuclei", "masks", 36, (0, 4, 8, 12, 16, 20, 28, 33), (0, 1, 3), tuple(range(2, 36, 4))),
    "lesions": Target("coffee_leaf_lesions", "masks", 30, _COFFEE, (0, 1, 3), tuple(range(2, 30, 4))),
    "leaf": Target("coffee_leaf_lesions", "masks_leaf", 30, _COFFEE, (0, 1, 3), tuple(range(2, 30, 4))),
    "vessels": Target("chasedb1_vessels", "masks", 18, tuple(range(8)), (0, 1, 2), tuple(range(10, 18))),
}


def held_out(target: str) -> tuple[int, ...]:
    """Return the numbers of the images of a target that never train and never choose anything.

    Raises
    ------
    KeyError
        There is no such target.
    """
    return TARGETS[target].held_out


def not_held_out(target: str) -> set[int]:
    """Return the numbers of the other images of a target.

    Raises
    ------
    KeyError
        There is no such target.
    """
    return set(range(TARGETS[target].images)) - set(held_out(target))


def labelled(target: str, seed: int = 0) -> tuple[int, ...]:
    """Return the numbers of the 8 training images of a target, in ascending order.

    Parameters
    ----------
    target : str
        A key of :data:`TARGETS`.
    seed : int
        0, 1 or 2. Those of seed 0 are shifted; where that gives a held-out image or none, the nearest free one is
        taken, the higher of two.

    Raises
    ------
    KeyError
        There is no such target.
    IndexError
        There is no such seed.
    """
    found = TARGETS[target]
    wanted = [number + found.shifts[seed] for number in found.labelled]
    usable = not_held_out(target)
    chosen = usable.intersection(wanted)
    for number in sorted(set(wanted) - chosen):
        chosen.add(min(usable - chosen, key=lambda other: (abs(other - number), -other)))
    return tuple(sorted(chosen))


def free(target: str, seed: int = 0) -> tuple[int, ...]:
    """Return the numbers of the images that neither train with a seed nor are held out: settings are chosen on them.

    Raises
    ------
    KeyError, IndexError
        There is no such target, or no such seed.
    """
    return tuple(sorted(not_held_out(target) - set(labelled(target, seed))))


def read_pack(data: Path, target: str, numbers: Collection[int] | None = None) -> list[TrainingImage]:
    """Return images of a target with all their objects, in the order of their numbers.

    Parameters
    ----------
    data : Path
        The folder with the packs.
    target : str
        A key of :data:`TARGETS`.
    numbers : collection of int, optional
        Which images; all of them by default.

    Raises
    ------
    KeyError
        There is no such target.
    UserError
        The pack is missing or cannot be read.
    """
    found = TARGETS[target]
    folder = data / found.pack
    return [
        TrainingImage(
            f"{found.pack}/{found.masks}/{path.stem}", to_rgb8(read_image(path)), read_labels(mask), complete=True
        )
        for path, mask in paired(folder / "images", folder / found.masks)
        if numbers is None or int(path.stem) in numbers
    ]
