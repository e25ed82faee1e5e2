"""Base models that a person adds: a checkpoint of one of the known architectures, under a name of its own."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tomli_w

from naslora_resources.registry import ID, PROMPTS, ModelEntry, added_file, added_models, shipped_models

from .base import read_checkpoint, with_weights
from .errors import UserError
from .files import saving

if TYPE_CHECKING:
    from torch import Tensor

#: How the pixels of an 8-bit image become the model's input: as segment-anything does it, or divided by 255.
Pixels = Literal["sam", "unit"]

#: Width of the tokens of segment-anything's image encoders.
_VIT_WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
#: A shipped model of each architecture, from which an added one has what no checkpoint says.
_EXAMPLES = {"tiny_vit_256": "litemedsam", "vit_b": "sam_vit_b", "vit_l": "sam_vit_l", "vit_h": "sam_vit_h"}


def add_model(
    path: Path, name: str = "", prompts: Sequence[str] = ("point", "box"), pixels: Pixels = "sam"
) -> ModelEntry:
    """Make a checkpoint a base model of this computer, and return its entry; the file stays where it is.

    It is read once, without unpickling code, which finds out its architecture. Later uses check its SHA-256.

    Parameters
    ----------
    path : Path
        The file: ``.pth``, ``.pt`` or ``.safetensors``.
    name : str
        Its id; by default that of the file. Lower-case letters, digits, ``-`` and ``_``, at most 40.
    prompts : sequence of str
        What it was trained on: ``point``, ``box``, ``multimask``.
    pixels : str
        ``sam`` (mean and deviation of segment-anything) or ``unit`` (0 to 1, as MedSAM). A TinyViT always has ``unit``.

    Raises
    ------
    UserError
        The name is taken or no name, the file is no checkpoint of a known architecture, or the list of models cannot be
        written.
    """
    path = path.expanduser().absolute()
    name = name or re.sub(r"[^a-z0-9_-]+", "-", path.stem.lower()).strip("-_")[:40]
    if not ID.fullmatch(name):
        raise UserError(f"'{name}' cannot be the name of a model.", "Use lower-case letters, digits, - and _.")
    if name in shipped_models():
        raise UserError(f"There is a base model '{name}' already.", "Choose another name.")
    if not prompts or set(prompts) - set(PROMPTS):
        raise UserError("It is not clear which prompts the model knows.", f"Choose from {', '.join(PROMPTS)}.")
    state = read_checkpoint(path)
    architecture = architecture_of(state, path.name)
    example = shipped_models()[_EXAMPLES[architecture]]
    mean, std = example.pixel_mean, example.pixel_std
    if pixels == "unit":
        mean, std = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    entry = ModelEntry(
        id=name,
        title=f"{path.name} ({architecture.replace('_', ' ')}, {example.image_size} px)",
        architecture=architecture,
        source="file",
        sha256=digest,
        size_bytes=path.stat().st_size,
        licence="unknown",
        prompts=tuple(prompts),
        image_size=example.image_size,
        pixel_mean=mean,
        pixel_std=std,
        citation="",
        file=str(path),
    )
    with_weights(entry, state, path)
    _write({**added_models(), name: entry})
    return entry


def remove_model(name: str) -> None:
    """Take an added model out of the list; its file stays.

    Raises
    ------
    UserError
        It was not added, or the list cannot be written.
    """
    left = added_models()
    if left.pop(name, None) is None:
        raise UserError(f"'{name}' is no base model that was added on this computer.", "See 'naslora models'.")
    _write(left)


def architecture_of(state: Mapping[str, Tensor], called: str) -> str:
    """Return the architecture that a state dict belongs to, by the names and widths of its image encoder.

    Raises
    ------
    UserError
        It is none that this program knows.
    """
    if "image_encoder.patch_embed.seq.0.c.weight" in state:
        return "tiny_vit_256"
    patches = state.get("image_encoder.patch_embed.proj.weight")
    found = None if patches is None or patches.ndim != 4 else _VIT_WIDTHS.get(patches.shape[0])
    if found is None:
        raise UserError(
            f"{called} is no model of a known architecture.",
            "LiteMedSAM's TinyViT and segment-anything's ViT-B, ViT-L and ViT-H can be used.",
        )
    return found


def _write(entries: Mapping[str, ModelEntry]) -> None:
    path = added_file()
    with saving(path) as temporary:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(tomli_w.dumps({name: _fields(entry) for name, entry in entries.items()}), encoding="utf-8")


def _fields(entry: ModelEntry) -> dict[str, Any]:
    """Return the fields of an entry for TOML, without its id."""
    values = {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(entry).items()}
    del values["id"]
    return values
