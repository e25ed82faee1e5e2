"""The mask decoder asked for many objects of an image, each seen close up: what is far from it decides little."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from segment_anything import SamPredictor
from torch import Tensor

from naslora_trainer.answer import tokens_of
from naslora_trainer.devices import autocast
from naslora_trainer.mask_decoder import Windows, decode
from naslora_trainer.mask_prompt import CERTAIN, LOW_RES
from naslora_trainer.prompts import Prompts

#: A window is so many times as long as the box in it, and at least so many image tokens.
#:
#: On the 27 images of nuclei and the 23 of lesions that are not held out, with 1001 and 108 objects, F1 at IoU 0.5 was
#: 0.878 and 0.658 with all of the image, 0.879 and 0.646 with these windows, the AP 0.553 and 0.266 against 0.557 and
#: 0.265; an object took 6 and 8 ms in place of 30 and 35. Windows of 1.5 and 3 times the box differed by 0.004.
LONGER, LEAST = 2.0, 12
#: So many image tokens are looked at together: on a CPU as many as its cache holds.
ON_CPU, ON_GPU = 8192, 16 * 4096


@torch.no_grad()
def outlines(
    predictor: SamPredictor, prompts: Sequence[Prompts], precision: torch.dtype
) -> Iterator[tuple[int, Tensor, float]]:
    """Yield the outline of each object, those of small boxes first.

    A mask that reaches an end of its window at which the image goes on is asked for again, with all of the image.

    Parameters
    ----------
    predictor : SamPredictor
        With an image set.
    prompts : sequence of Prompts
        A box each, and equally many clicks.
    precision : torch.dtype
        Of matrix products.

    Yields
    ------
    number : int
        Of the prompt.
    logits : Tensor
        (256, 256) on the CPU.
    quality : float
        The IoU that the model expects of it.
    """
    grid = predictor.features.shape[-1]
    places, sizes = _windows(predictor, prompts)
    most = ON_CPU if predictor.device.type == "cpu" else ON_GPU
    cut: list[int] = []
    for group in _groups(sizes, most):
        size = sizes[group].max(axis=0)
        at = np.clip(np.round(places[group] - size / 2).astype(int), 0, grid - size)
        found, quality = _asked(predictor, [prompts[i] for i in group], at, size, precision)
        for number, place, logits, score in zip(group, at, found, quality, strict=True):
            if _is_cut(logits, place, grid):
                cut.append(number)
            else:
                yield number, _pasted(logits, place), score
    whole = np.array([grid, grid])
    step = max(1, most // grid**2)
    for start in range(0, len(cut), step):
        again = cut[start : start + step]
        at = np.zeros((len(again), 2), int)
        found, quality = _asked(predictor, [prompts[i] for i in again], at, whole, precision)
        yield from zip(again, found, quality, strict=True)


def _windows(predictor: SamPredictor, prompts: Sequence[Prompts]) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle (N, 2) of each box, and rows and columns (N, 2) of its window, in image tokens."""
    grid = predictor.features.shape[-1]
    scale = np.divide(predictor.input_size, predictor.original_size) * grid / predictor.model.image_encoder.img_size
    boxes = np.array([prompt.box for prompt in prompts], float).reshape(-1, 2, 2) * scale
    sides = np.maximum((boxes[:, 1] - boxes[:, 0]) * LONGER, LEAST)
    return boxes.mean(axis=1), np.minimum(np.ceil(sides), grid).astype(int)


def _groups(sizes: np.ndarray, most: int) -> Iterator[list[int]]:
    """Yield numbers of windows of about one size, the small ones first, with no more than ``most`` tokens together."""
    group: list[int] = []
    largest = np.zeros(2, int)
    for number in np.argsort(sizes.max(axis=1, initial=0), kind="stable").tolist():
        larger = np.maximum(largest, sizes[number])
        if group and (len(group) + 1) * larger.prod() > most:
            yield group
            group, larger = [], sizes[number]
        group.append(number)
        largest = larger
    if group:
        yield group


def _asked(
    predictor: SamPredictor, prompts: Sequence[Prompts], at: np.ndarray, size: np.ndarray, precision: torch.dtype
) -> tuple[Tensor, list[float]]:
    """Return logits (B, 4 h, 4 w) of windows, on the CPU, and the quality that is expected of each."""
    encoder, decoder = predictor.model.prompt_encoder, predictor.model.mask_decoder
    windows = Windows(torch.as_tensor(at, device=predictor.device), (int(size[0]), int(size[1])))
    image = predictor.features + encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
    with autocast(predictor.device.type, precision):
        tokens = torch.cat([tokens_of(predictor, prompt) for prompt in prompts])
        logits, quality = decode(decoder, image, encoder.get_dense_pe(), tokens, 1, windows)
    return logits[:, 0].float().cpu(), quality[:, 0].tolist()


def _is_cut(logits: Tensor, place: np.ndarray, grid: int) -> bool:
    """Whether a mask reaches an end of its window where the image goes on."""
    inside = logits > 0
    ends = place + np.array(logits.shape) // (LOW_RES // grid)
    before, after = place > 0, ends < grid
    edges = ((inside[0], before[0]), (inside[-1], after[0]), (inside[:, 0], before[1]), (inside[:, -1], after[1]))
    return any(goes_on and bool(edge.any()) for edge, goes_on in edges)


def _pasted(logits: Tensor, place: np.ndarray) -> Tensor:
    """Return the logits of a window in the frame of the model; around them is nothing."""
    frame = torch.full((LOW_RES, LOW_RES), -float(CERTAIN))
    row, col = (4 * place).tolist()
    frame[row : row + logits.shape[0], col : col + logits.shape[1]] = logits
    return frame
