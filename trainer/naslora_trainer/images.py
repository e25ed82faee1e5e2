"""Image files and label images from outside, read with suspicion. Works without torch."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from .decode import MAX_PIXELS, channels_last, is_zarr, plane_shape, read_pixels
from .errors import UserError

__all__ = [
    "IMAGE_SUFFIXES",
    "check_same_size",
    "image_size",
    "list_images",
    "natural_key",
    "paired",
    "read_image",
    "read_labels",
    "to_rgb8",
]

#: Files in a folder that count as images.
IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".jp2", ".pgm", ".ppm")

#: Percentiles of the finite values that become black and white where no contrast limits are given.
PERCENTILES = (0.2, 99.8)
#: The percentiles of larger images are taken over an even sample of about this many values.
SAMPLED_VALUES = 16_000_000
LARGEST_LABEL = int(np.iinfo(np.int32).max)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key that puts ``img2`` before ``img10``."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(0, int(part), "") if part.isascii() and part.isdigit() else (1, 0, part) for part in parts]


def list_images(folder: Path | str, recursive: bool = False) -> list[Path]:
    """Return the image files and OME-Zarr folders of a folder in natural order; hidden ones do not count.

    Parameters
    ----------
    folder : Path
        Where to look.
    recursive : bool
        Look in sub-folders too.

    Raises
    ------
    UserError
        The folder is missing, unreadable or holds no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"The folder {folder} does not exist.", "Check the path.")
    try:
        found = folder.rglob("*") if recursive else folder.iterdir()
        images = [path for path in found if _is_image(path, path.relative_to(folder))]
    except OSError as error:
        raise UserError(f"The folder {folder} could not be read: {error.strerror or error}.") from error
    if not images:
        raise UserError(f"The folder {folder} holds no images.", f"It needs files of {', '.join(IMAGE_SUFFIXES)}.")
    return sorted(images, key=lambda path: (natural_key(path.relative_to(folder).as_posix()), str(path)))


def _is_image(path: Path, relative: Path) -> bool:
    """Return whether a path looks like an image that is neither hidden nor a part of another one."""
    if any(part.startswith(".") for part in relative.parts) or any(is_zarr(path) for path in _parents(path, relative)):
        return False
    return is_zarr(path) or (path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def _parents(path: Path, relative: Path) -> tuple[Path, ...]:
    """Return the folders of a path below the one it is relative to."""
    return tuple(path.parents)[: len(relative.parts) - 1]


def read_image(path: Path | str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return an image as it is stored.

    Parameters
    ----------
    path : Path
        TIFF, PNG, JPEG, BMP, WebP, GIF, JPEG 2000 or PGM/PPM. Of a palette image the colours are returned,
        of a photograph the upright view that its EXIF orientation asks for.
    max_pixels : int
        An image with more pixels is refused before it is decoded.

    Returns
    -------
    ndarray
        ``(H, W)`` or ``(H, W, C)`` with C of 2 to 4, of the file's number type.

    Raises
    ------
    UserError
        The file is missing, damaged, too large, has no pixels, or is a stack of planes.
    """
    return channels_last(read_pixels(Path(path), max_pixels), str(path))


def image_size(path: Path | str, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return (rows, columns) of an image file from its header, without decoding it.

    Raises
    ------
    UserError
        As :func:`read_image`, as far as the header shows it.
    """
    return plane_shape(Path(path), max_pixels)


def read_labels(path: Path | str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return a label image: 0 is background, every other number one object.

    Whole numbers of any type and boolean masks are accepted; of a palette image the indices are the labels.

    Returns
    -------
    ndarray
        ``(H, W)`` int32, 0 to 2**31 - 1.

    Raises
    ------
    UserError
        The file is not readable, has colour channels, or its numbers are negative, not whole or too large.
    """
    labels = read_pixels(Path(path), max_pixels, indices=True)
    if labels.ndim != 2:
        raise UserError(
            f"{path} is a colour image or a stack, not a label image.",
            "Save one number per object in a single channel, for example as a 16-bit TIFF or PNG.",
        )
    return to_labels(labels, str(path))


def to_labels(labels: np.ndarray, name: str) -> np.ndarray:
    """Return ``labels`` ``(H, W)`` as int32, itself if it is, after checking its numbers; ``name`` is for the sentence.

    Raises
    ------
    UserError
        It is not a plane of whole numbers of 0 to 2**31 - 1.
    """
    if labels.ndim != 2:
        raise UserError(f"{name} is not a plane of labels: it has {labels.ndim} axes.")
    if labels.dtype.kind == "f":
        if not np.array_equal(labels, np.floor(labels)):
            raise UserError(f"{name} holds numbers that are not whole.", "A label image has one number per object.")
    elif labels.dtype.kind not in "biu":
        raise UserError(f"{name} holds no numbers that can be labels.")
    if labels.size and labels.min() < 0:
        raise UserError(f"{name} holds negative labels.", "Labels are 0 for background and 1, 2, ... for objects.")
    if labels.size and labels.max() > LARGEST_LABEL:
        raise UserError(f"{name} holds labels above {LARGEST_LABEL}.", "Number the objects from 1.")
    return labels.astype(np.int32, copy=False)


def to_rgb8(array: np.ndarray, contrast_limits: tuple[float, float] | None = None) -> np.ndarray:
    """Return an image as the models see it.

    Parameters
    ----------
    array : ndarray
        ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)`` with C of 1 to 4, of any real number type. Two channels
        become red and green; a fourth one is dropped.
    contrast_limits : (low, high) or None
        Values that become 0 and 255; the default is the 0.2 and 99.8 percentile of the finite values. uint8
        images are scaled only where limits are given, boolean ones never.

    Returns
    -------
    ndarray
        ``(H, W, 3)`` uint8. NaN becomes 0.

    Raises
    ------
    UserError
        The array is no image: other axes, no pixels, not real numbers.
    """
    image = channels_last(np.asarray(array), "The image")
    if image.dtype.kind not in "biuf":
        raise UserError(f"The image holds values of type {image.dtype}, not real numbers.")
    image = image[..., :3] if image.ndim == 3 else image[..., None]
    if image.dtype == bool:
        image = image.astype(np.uint8) * np.uint8(255)
    elif image.dtype != np.uint8 or contrast_limits is not None:
        image = _scaled(image, contrast_limits)
    if image.shape[2] == 1:
        image = np.repeat(image, 3, axis=2)
    elif image.shape[2] == 2:
        image = np.concatenate([image, np.zeros_like(image[..., :1])], axis=2)
    return np.ascontiguousarray(image)


def _scaled(image: np.ndarray, limits: tuple[float, float] | None) -> np.ndarray:
    """Return ``image`` as uint8 with the contrast limits at 0 and 255."""
    low, high = default_limits(image) if limits is None else (float(limits[0]), float(limits[1]))
    wide = np.float64 if image.dtype.itemsize > 4 or max(abs(low), abs(high)) > 1e30 else np.float32
    with np.errstate(over="ignore", invalid="ignore"):
        # Halves, because high - low may be more than the type can hold.
        span = high / 2 - low / 2
        if not span > 0:
            return np.zeros(image.shape, np.uint8)
        values = np.clip(image.astype(wide), low, high)
        share = (values / 2 - low / 2) / span
    return np.rint(np.nan_to_num(share, nan=0.0) * 255).clip(0, 255).astype(np.uint8)


def default_limits(image: np.ndarray) -> tuple[float, float]:
    """Return the values that become black and white where none are given."""
    values = image.reshape(-1)[:: max(1, image.size // SAMPLED_VALUES)]
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
        values = values.astype(np.float64) if values.dtype == np.float16 else values
    if not values.size:
        return 0.0, 0.0
    low, high = np.percentile(values, PERCENTILES)
    return float(low), float(high)


def check_same_size(
    image: tuple[int, int], labels: tuple[int, int], image_path: Path | str, labels_path: Path | str
) -> None:
    """Check that a label image fits its image; sizes are (rows, columns).

    Raises
    ------
    UserError
        They differ.
    """
    if tuple(image) != tuple(labels):
        raise UserError(
            f"{labels_path} has {labels[0]} x {labels[1]} pixels, but its image {image_path} has "
            f"{image[0]} x {image[1]}.",
            "Give it the size of its image.",
        )


def paired(images_dir: Path | str, masks_dir: Path | str) -> list[tuple[Path, Path]]:
    """Return (image, label image) for each image of a folder: the file of the same stem in the other folder.

    Raises
    ------
    UserError
        A folder is missing or empty, an image has no label image or several, or one is of another size.
    """
    masks: dict[str, list[Path]] = {}
    for path in list_images(masks_dir):
        masks.setdefault(path.stem, []).append(path)
    pairs = []
    for image in list_images(images_dir):
        found = masks.get(image.stem, [])
        if not found:
            raise UserError(f"{image} has no label image in {masks_dir}.", f"Add one named {image.stem}.tif.")
        if len(found) > 1:
            raise UserError(f"{image} has several label images: {', '.join(map(str, found))}.", "Keep one of them.")
        check_same_size(image_size(image), image_size(found[0]), image, found[0])
        pairs.append((image, found[0]))
    return pairs
