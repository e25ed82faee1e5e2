"""The registry of base models, read from ``registry.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

DEFAULT_MODEL = "litemedsam-click"


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
        ``package`` (weights inside an installed Python package), ``download``, or ``adapter`` (another model with an
        adapter of this package merged into it).
    package : str
        ``import.name:path/of/the/file`` when the source is ``package``, else empty.
    url : str
        The address when the source is ``download``, else empty.
    base, adapter : str
        Id of the other model, and the adapter's file inside ``naslora_resources``, when the source is ``adapter``,
        else empty.
    sha256 : str
        SHA-256 of the file of weights, or of the adapter file: 64 lower-case hex digits.
    size_bytes : int
        Size of that file in bytes.
    licence : str
        SPDX identifier of the licence of the weights.
    prompts : tuple of str
        What the model was trained on: ``point``, ``box``, and ``multimask`` for three masks of one click.
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
    base: str = ""
    adapter: str = ""


def models() -> dict[str, ModelEntry]:
    """Return the base models by id, in the order of the registry file (the default first)."""
    text = files("naslora_resources").joinpath("registry.toml").read_text(encoding="utf-8")
    return {model_id: _entry(model_id, fields) for model_id, fields in tomllib.loads(text).items()}


def _entry(model_id: str, fields: dict[str, Any]) -> ModelEntry:
    """Return one entry; TOML arrays become tuples, since entries are immutable."""
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    return ModelEntry(id=model_id, **values)
