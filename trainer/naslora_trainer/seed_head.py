"""The head that finds all objects of an image: where they are, how far each pixel is from their middle and edge, and of
which class it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .errors import UserError
from .frames import frame_shape
from .mask_prompt import LOW_RES

#: What the names of its tensors in an adapter begin with.
PREFIX = "head."
#: Channels of the embedding, of the picture as the head sees it (colours x 2 x 2), and of its layers.
EMBEDDING, PICTURE, WIDTH = 256, 12, 32
#: Maps: logit of an object, nearness to the middle of the object, distance to its edge.
MAPS = 3


class SeedHead(nn.Module):
    """A small decoder on the image embedding, with the picture itself beside it for what an embedding is too coarse.

    It works at half of the low resolution and writes four pixels at a time.

    Parameters
    ----------
    classes : sequence of str
        What it tells apart; none where there is nothing to tell.
    """

    def __init__(self, classes: Sequence[str] = ()) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.context = nn.Sequential(nn.Conv2d(EMBEDDING, WIDTH, 1), nn.GroupNorm(8, WIDTH), nn.GELU())
        self.detail = nn.Sequential(nn.Conv2d(PICTURE, WIDTH // 2, 3, padding=1), nn.GELU())
        self.body = nn.Sequential(
            nn.Conv2d(WIDTH + WIDTH // 2, WIDTH, 3, padding=1),
            nn.GroupNorm(8, WIDTH),
            nn.GELU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            nn.GroupNorm(8, WIDTH),
            nn.GELU(),
            nn.Conv2d(WIDTH, 4 * (MAPS + len(self.classes)), 1),
            nn.PixelShuffle(2),
        )

    def forward(self, embedding: Tensor, picture: Tensor) -> Tensor:
        """Return logits of the maps.

        Parameters
        ----------
        embedding : Tensor
            (B, 256, h, w) of the image encoder.
        picture : Tensor
            (B, 3, side, side): what the encoder saw.

        Returns
        -------
        Tensor
            (B, 3 + K, 256, 256): object, nearness to the middle, distance to the edge, and each of K classes. The
            sigmoid of the two after the first is 0 to 1 in each object, whatever its size; the softmax of those of
            classes is which of them a pixel is of, if it is of an object.
        """
        half = (LOW_RES // 2, LOW_RES // 2)
        context = functional.interpolate(self.context(embedding), half, mode="bilinear", align_corners=False)
        detail = self.detail(functional.pixel_unshuffle(shrunk(picture), 2))
        maps: Tensor = self.body(torch.cat([context, detail], dim=1))
        return maps

    def shift(self, logit: float) -> None:
        """Add to the logit of an object, wherever it is."""
        last: nn.Conv2d = self.body[-2]  # type: ignore[assignment]
        assert last.bias is not None
        last.bias.data[:4] += logit  # four pixels of the first map


def shrunk(picture: Tensor) -> Tensor:
    """Return what the encoder saw (B, 3, side, side) at the low resolution (B, 3, 256, 256), which is all of it the
    head looks at."""
    return functional.adaptive_avg_pool2d(picture, LOW_RES)


def probabilities(logits: Tensor) -> Tensor:
    """Return what logits of :class:`SeedHead` (B, 3 + K, H, W) mean, 0 to 1; those of classes add up to 1."""
    return torch.cat([logits[:, :MAPS].sigmoid(), logits[:, MAPS:].softmax(dim=1)], dim=1)


@torch.no_grad()
def maps_of(
    head: SeedHead, embeddings: Tensor, pictures: Tensor, shapes: Sequence[tuple[int, ...]]
) -> list[np.ndarray]:
    """Return what a head says of each image, without what is beyond it.

    Parameters
    ----------
    head : SeedHead
        On the device of the tensors.
    embeddings, pictures : Tensor
        (B, 256, h, w), and what the encoder saw, (B, 3, side, side).
    shapes : sequence of (rows, columns)
        Of the B images.

    Returns
    -------
    list of ndarray
        (3 + K, h, w) float32 each, 0 to 1 (see :func:`probabilities`), at the low resolution.
    """
    maps = probabilities(head(embeddings, pictures)).cpu().numpy()
    inside = (frame_shape(shape, pictures.shape[-1]) for shape in shapes)
    return [np.ascontiguousarray(own[:, :height, :width]) for own, (height, width) in zip(maps, inside, strict=True)]


def new_head(seed: int, classes: Sequence[str] = ()) -> SeedHead:
    """Return an untrained head; torch's own random stream is left as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SeedHead(classes)


def head_of(tensors: Mapping[str, Tensor], classes: Sequence[str] = ()) -> SeedHead | None:
    """Return the head that an adapter holds, in eval mode, or None.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Of an :class:`naslora_trainer.Adapter`.
    classes : sequence of str
        What it tells apart, as the adapter's metadata say.

    Raises
    ------
    UserError
        The tensors are not those of a head for these classes.
    """
    found = {name.removeprefix(PREFIX): t.float() for name, t in tensors.items() if name.startswith(PREFIX)}
    if not found:
        return None
    head = new_head(0, classes)
    try:
        head.load_state_dict(found, strict=True)
    except RuntimeError as error:
        raise UserError(
            "The part of the adapter that finds objects by itself is of another kind.", "Fine-tune again."
        ) from error
    return head.requires_grad_(False).eval()


def tensors_of(head: SeedHead) -> dict[str, Tensor]:
    """Return the tensors of a head as they stand in an adapter."""
    return {PREFIX + name: t.detach().cpu().clone().contiguous() for name, t in head.state_dict().items()}
