"""An image encoder as a sequence of steps, so that its frozen beginning can be computed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

Step = Callable[[Tensor], Tensor]


def steps_of(encoder: nn.Module) -> list[tuple[str, Step]]:
    """Return named steps whose composition is ``encoder.forward``, for TinyViT and segment-anything's ViT.

    The name of a step is the path of its module in the encoder.

    Raises
    ------
    TypeError
        The encoder is of another kind.
    """
    if hasattr(encoder, "layers") and hasattr(encoder, "neck"):
        return _tiny_vit(encoder)
    if hasattr(encoder, "blocks") and hasattr(encoder, "pos_embed"):
        return _vit(encoder)
    raise TypeError(f"{type(encoder).__name__} is not a known image encoder")


def split(encoder: nn.Module, first: str | None) -> tuple[Step, Step]:
    """Return ``(prefix, suffix)`` with ``suffix(prefix(x)) == encoder(x)``.

    Parameters
    ----------
    encoder : nn.Module
        The image encoder.
    first : str or None
        Path of the first adapted layer; the step that holds it is the first of the suffix. None: all is prefix.
    """
    steps = steps_of(encoder)
    cut = len(steps)
    if first is not None:
        cut = next(i for i, (name, _) in enumerate(steps) if first == name or first.startswith(f"{name}."))
    return _chain([step for _, step in steps[:cut]]), _chain([step for _, step in steps[cut:]])


def _chain(steps: list[Step]) -> Step:
    def run(x: Tensor) -> Tensor:
        for step in steps:
            x = step(x)
        return x

    return run


def _tiny_vit(encoder: Any) -> list[tuple[str, Step]]:
    steps: list[tuple[str, Step]] = [("patch_embed", encoder.patch_embed)]
    for i, layer in enumerate(encoder.layers):
        steps += [(f"layers.{i}.blocks.{j}", block) for j, block in enumerate(layer.blocks)]
        if layer.downsample is not None:
            steps.append((f"layers.{i}.downsample", layer.downsample))
    side = encoder.img_size // 4

    def neck(x: Tensor) -> Tensor:
        return encoder.neck(x.view(len(x), side, side, -1).permute(0, 3, 1, 2))

    return [*steps, ("neck", neck)]


def _vit(encoder: Any) -> list[tuple[str, Step]]:
    def embed(x: Tensor) -> Tensor:
        x = encoder.patch_embed(x)
        return x if encoder.pos_embed is None else x + encoder.pos_embed

    def neck(x: Tensor) -> Tensor:
        return encoder.neck(x.permute(0, 3, 1, 2))

    blocks = [(f"blocks.{i}", block) for i, block in enumerate(encoder.blocks)]
    return [("patch_embed", embed), *blocks, ("neck", neck)]
