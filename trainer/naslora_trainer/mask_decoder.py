"""The mask decoder as it is trained: many prompts on one embedding, without doing the image's part once per prompt.

:func:`decode` computes what ``segment_anything``'s ``MaskDecoder.predict_masks`` computes, from the same modules, to
rounding. It differs in the order of the products:

- A prompt has about seven tokens and the image 4096. Where tokens look at the image, ``q . (Wk x)`` is taken as
  ``(Wk^T q) . x``, and the image tokens are summed up before ``Wv``, not after; where the image looks at the tokens
  likewise. So no image token is projected, and 56 columns take the place of 128.
- Until the first layer has changed them, the image tokens are the same for all prompts and are not repeated.
- A transposed convolution of stride 2 and side 2 is a linear layer, so that the masks are made with channels last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from segment_anything.modeling import MaskDecoder
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Windows:
    """The parts of an image that prompts are about, all of one size.

    Attributes
    ----------
    at : Tensor
        (B, 2) int: row and column of the first image token of each.
    size : (int, int)
        Rows and columns of tokens.
    """

    at: Tensor
    size: tuple[int, int]

    def of(self, tokens: Tensor, columns: int) -> Tensor:
        """Return the tokens (B, h w, C) of the windows, of those of an image (1, H W, C) with so many columns."""
        down, along = (torch.arange(side, device=self.at.device) for side in self.size)
        rows, cols = self.at[:, :1] + down, self.at[:, 1:] + along
        found: Tensor = tokens[0][(rows[:, :, None] * columns + cols[:, None, :]).flatten(1)]
        return found


def decode(
    decoder: MaskDecoder, image: Tensor, image_pe: Tensor, sparse: Tensor, masks: int, windows: Windows | None = None
) -> tuple[Tensor, Tensor]:
    """Answer B prompts on one image.

    Parameters
    ----------
    decoder : MaskDecoder
        Of ``segment_anything``, with its :class:`TwoWayTransformer`.
    image : Tensor
        (1, C, H, W): the image embedding with the dense prompt embedding added; (B, C, H, W) where each prompt has its
        own (mask prompts).
    image_pe : Tensor
        (1, C, H, W): its positional encoding.
    sparse : Tensor
        (B, N, C): tokens of the prompts.
    masks : int
        How many of the decoder's masks are wanted, from the first on.
    windows : Windows, optional
        Where in the one image each prompt's mask lies. Its tokens look at all of the image once; from then on there is
        only the window. With windows of the size of the image the answer is the same as without.

    Returns
    -------
    logits, iou : Tensor
        (B, masks, 4 H, 4 W), or of the windows, and (B, masks).
    """
    own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([own.expand(len(sparse), -1, -1), sparse], dim=1)
    keys, key_pe = (part.flatten(2).transpose(1, 2) for part in (image, image_pe))
    size = image.shape[-2:] if windows is None else windows.size
    queries, keys = _transformer(decoder.transformer, tokens, keys, key_pe, windows, image.shape[-1])
    hyper = [decoder.output_hypernetworks_mlps[i](queries[:, 1 + i]) for i in range(masks)]
    logits = _upscaled(decoder.output_upscaling, keys, torch.stack(hyper, dim=1), size)
    return logits, decoder.iou_prediction_head(queries[:, 0])[:, :masks]


def _transformer(
    transformer: Any, tokens: Tensor, keys: Tensor, key_pe: Tensor, windows: Windows | None, columns: int
) -> tuple[Tensor, Tensor]:
    """``TwoWayTransformer.forward`` for tokens (B, T, C) and image tokens (1 or B, N, C), ``columns`` in a row."""
    queries = tokens
    for layer in transformer.layers:
        if layer.skip_first_layer_pe:
            queries = layer.self_attn(q=queries, k=queries, v=queries)
        else:
            placed = queries + tokens
            queries = queries + layer.self_attn(q=placed, k=placed, v=queries)
        queries = layer.norm1(queries)
        placed_keys = keys + key_pe
        queries = layer.norm2(
            queries + _look_at_image(layer.cross_attn_token_to_image, queries + tokens, placed_keys, keys)
        )
        queries = layer.norm3(queries + layer.mlp(queries))
        if windows is not None:  # before the image tokens become those of one prompt
            keys, key_pe, placed_keys = (windows.of(part, columns) for part in (keys, key_pe, placed_keys))
            windows = None
        seen = _look_at_tokens(layer.cross_attn_image_to_token, placed_keys, queries + tokens, queries)
        keys = layer.norm4(keys + seen)
    last = transformer.final_attn_token_to_image
    return transformer.norm_final_attn(queries + _look_at_image(last, queries + tokens, keys + key_pe, keys)), keys


def _look_at_image(attention: Any, tokens: Tensor, placed: Tensor, image: Tensor) -> Tensor:
    """Attention of tokens (B, T, C) to image tokens (B or 1, N, C); the bias of the keys cancels in the softmax."""
    asked = _into(_heads(attention.q_proj(tokens), attention), attention.k_proj.weight, attention)  # B, H T, C
    weights = (asked @ placed.transpose(1, 2)).softmax(dim=-1)
    summed = (weights @ image).unflatten(1, (attention.num_heads, -1))  # B, H, T, C
    values = attention.v_proj.weight.unflatten(0, (attention.num_heads, -1)).transpose(1, 2)  # H, C, c
    found = (summed @ values).transpose(1, 2).flatten(2) + attention.v_proj.bias
    return attention.out_proj(found)


def _look_at_tokens(attention: Any, placed: Tensor, tokens: Tensor, values: Tensor) -> Tensor:
    """Attention of image tokens (B or 1, N, C) to tokens (B, T, C); returns (B, N, C)."""
    keys = _heads(attention.k_proj(tokens), attention)  # B, H, T, c
    asked = _into(keys, attention.q_proj.weight, attention)
    offset = keys @ attention.q_proj.bias.unflatten(0, (attention.num_heads, -1, 1)) / math.sqrt(keys.shape[-1])
    scores = placed @ asked.transpose(1, 2) + offset.flatten(1)[:, None]
    weights = scores.unflatten(-1, (attention.num_heads, -1)).softmax(dim=-1).flatten(-2)  # B, N, H T
    out = attention.out_proj.weight.T.unflatten(0, (attention.num_heads, -1))  # H, c, C
    shown = (_heads(attention.v_proj(values), attention) @ out).flatten(1, 2)
    return weights @ shown + attention.out_proj.bias


def _heads(x: Tensor, attention: Any) -> Tensor:
    """(B, T, H c) -> (B, H, T, c)."""
    return x.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)


def _into(heads: Tensor, weight: Tensor, attention: Any) -> Tensor:
    """Take (B, H, T, c) back through a projection (H c, C), scaled as attention is: (B, H T, C)."""
    per_head = weight.unflatten(0, (attention.num_heads, -1))  # H, c, C
    return (heads @ per_head).flatten(1, 2) / math.sqrt(heads.shape[-1])


def _upscaled(upscaling: Any, keys: Tensor, hyper: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return the products (B, M, 4 H, 4 W) of the upscaled image tokens (B, H W, C) with ``hyper`` (B, M, C / 8)."""
    first, norm, activation, second, last = list(upscaling)
    x = activation(functional.layer_norm(_quadrupled(first, keys), norm.weight.shape, norm.weight, norm.bias, norm.eps))
    x = last(_quadrupled(second, x))  # B, H W, 2, 2, 2, 2, C / 8
    masks = x.flatten(1, -2) @ hyper.transpose(1, 2)
    height, width = size
    grid = masks.view(len(masks), height, width, 2, 2, 2, 2, -1)  # row, col, then the halves: row col row col
    return grid.permute(0, 7, 1, 3, 5, 2, 4, 6).reshape(len(masks), -1, 4 * height, 4 * width)


def _quadrupled(convolution: Any, x: Tensor) -> Tensor:
    """A transposed convolution of stride 2 and side 2 on channels last: (..., C) -> (..., 2, 2, C')."""
    weight = convolution.weight.permute(0, 2, 3, 1)  # C, 2, 2, C'
    return (x @ weight.flatten(1)).unflatten(-1, weight.shape[1:]) + convolution.bias
