"""The registry of base models: those of ``registry.toml``, and those that a person added on this computer."""

from __future__ import annotations

import logging
import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import platformdirs

log = logging.getLogger("naslora_napari")

DEFAULT_MODEL = "litemedsam-click"
ARCHITECTURES = ("tiny_vit_256", "vit_b", "vit_l", "vit_h")
PROMPTS = ("point", "box", "multimask")
#: What the id of a model looks like: it is typed on the command line and is part of file names.
ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
#: A larger file of added models is none that was written here, in bytes.
LARGEST_FILE = 2**20


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
        ``package`` (weights inside an installed Python package), ``download``, ``adapter`` (another model with an
        adapter of this package merged into it), or ``file`` (a checkpoint that a person added).
    package : str
        ``import.name:path/of/the/file`` when the source is ``package``, else empty.
    url : str
        The address when the source is ``download``, else empty.
    base, adapter : str
        Id of the other model, and the adapter's file inside ``naslora_resources``, when the source is ``adapter``,
        else empty.
    file : str
        Absolute path of the checkpoint when the source is ``file``, else empty.
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
    file: str = ""


def models() -> dict[str, ModelEntry]:
    """Return the base models by id: those of the registry in its order (the default first), then added ones."""
    return shipped_models() | added_models()


def shipped_models() -> dict[str, ModelEntry]:
    """Return the base models that this package describes, by id."""
    text = files("naslora_resources").joinpath("registry.toml").read_text(encoding="utf-8")
    return {model_id: _entry(model_id, fields) for model_id, fields in tomllib.loads(text).items()}


def added_models() -> dict[str, ModelEntry]:
    """Return the base models that a person added on this computer, by id; entries that are not sound are left out."""
    path = added_file()
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError("too large")
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        log.warning("The added models in %s cannot be read: %s", path, error)
        return {}
    entries, shipped = {}, shipped_models()
    for model_id, fields in found.items():
        try:
            if model_id in shipped:
                raise ValueError("a shipped model has this id")
            entries[model_id] = _added(model_id, fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("The added model %r in %s is left out: %s", model_id, path, error)
    return entries


def added_file() -> Path:
    """Return the path of the file that lists added models."""
    return Path(platformdirs.user_config_dir("naslora-napari", appauthor=False)) / "models.toml"


def _entry(model_id: str, fields: dict[str, Any]) -> ModelEntry:
    """Return one entry; TOML arrays become tuples, since entries are immutable."""
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    return ModelEntry(id=model_id, **values)


def _added(model_id: str, fields: dict[str, Any]) -> ModelEntry:
    """Return an entry of a file that may have been edited by hand."""
    entry = _entry(model_id, fields)
    sound = (
        ID.fullmatch(entry.id)
        and entry.architecture in ARCHITECTURES
        and entry.source == "file"
        and re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
        and isinstance(entry.size_bytes, int)
        and Path(entry.file).is_absolute()
        and entry.prompts
        and set(entry.prompts) <= set(PROMPTS)
        and entry.image_size in (256, 1024)
        and all(isinstance(text, str) for text in (entry.title, entry.licence, entry.citation))
        and len(entry.pixel_mean) == len(entry.pixel_std) == 3
        and all(isinstance(v, int | float) and 0 <= v <= 255 for v in (*entry.pixel_mean, *entry.pixel_std))
        and min(entry.pixel_std) > 0
    )
    if not sound:
        raise ValueError("a field is not usable")
    return entry
