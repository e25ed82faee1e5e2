"""The registry of base models, read from ``registry.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

DEFAULT_MODEL = "litemedsam"


@dataclass(frozen=True)
class ModelEntry:
    """One base model: where its weights are and how an image is prepared for it.

    Attributes
    ----------
    id : str
        Its key in the registry, as given on the command line.
    title : str
        Its name for people.
    architecture : str
        ``tiny_vit_256``, ``vit_b``, ``vit_l`` or ``vit_h``.
    source : str
        ``package`` (weights inside an installed Python package) or ``download``.
    package : str
        ``import.name:path/of/the/file`` when the source is ``package``, else empty.
    url : str
        The address when the source is ``download``, else empty.
    sha256 : str
        SHA-256 of the weight file, 64 lower-case hex digits.
    size_bytes : int
        Size of the weight file in bytes.
    licence : str
        SPDX identifier of the licence of the weights.
    prompts : tuple of str
        The prompts the model was trained on: ``point`` and ``box``, or ``box`` alone.
    image_size : int
        Side of the square that the model sees, in pixels.
    pixel_mean, pixel_std : tuple of float
        Per RGB channel, in units of an 8-bit image (0..255).
    citation : str
        What to cite.
    """

    id: str
    title: str
    architecture: str
    source: str
    sha256: str
    size_bytes: int
    licence: str
    prompts: tuple[str, ...]
    image_size: int
    pixel_mean: tuple[float, float, float]
    pixel_std: tuple[float, float, float]
    citation: str
    package: str = ""
    url: str = ""


def models() -> dict[str, ModelEntry]:
    """Return the base models by id, in the order of the registry file (the default first)."""
    text = files("naslora_resources").joinpath("registry.toml").read_text(encoding="utf-8")
    return {model_id: _entry(model_id, fields) for model_id, fields in tomllib.loads(text).items()}


def _entry(model_id: str, fields: dict[str, Any]) -> ModelEntry:
    """Return one entry; TOML arrays become tuples, since entries are immutable."""
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    return ModelEntry(id=model_id, **values)
