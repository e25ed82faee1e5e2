"""The mask decoder in training against segment-anything's own."""

from __future__ import annotations

import copy

import pytest
import torch
from segment_anything.modeling import Sam

from naslora_trainer.mask_decoder import Windows, decode


@pytest.mark.parametrize(("prompts", "tokens"), [(1, 2), (5, 3)])
def test_values_and_gradients_are_segment_anythings(base_sam: Sam, prompts: int, tokens: int) -> None:
    torch.manual_seed(prompts)
    decoders = [copy.deepcopy(base_sam.mask_decoder).requires_grad_(True) for _ in range(2)]
    embeddings = [torch.randn(1, 256, 64, 64).requires_grad_(True)]
    embeddings.append(embeddings[0].detach().clone().requires_grad_(True))
    sparse, pe = torch.randn(prompts, tokens, 256), base_sam.prompt_encoder.get_dense_pe()
    dense = base_sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
    theirs = decoders[0].predict_masks(embeddings[0], pe, sparse, dense.expand(prompts, -1, 64, 64))
    mine = decode(decoders[1], embeddings[1] + dense, pe, sparse, masks=4)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    for logits, iou in (theirs, mine):
        (logits.square().mean() + iou.square().mean()).backward()
    scale = embeddings[0].grad.abs().max()
    torch.testing.assert_close(embeddings[1].grad / scale, embeddings[0].grad / scale, atol=1e-4, rtol=1e-3)
    largest = max(float(p.grad.abs().max()) for p in decoders[0].parameters() if p.grad is not None)
    for a, b in zip(decoders[1].parameters(), decoders[0].parameters(), strict=True):
        # The bias of keys cancels in the softmax: its gradient is zero to rounding, or none at all.
        mine_grad, their_grad = (torch.zeros_like(p) if p.grad is None else p.grad / largest for p in (a, b))
        torch.testing.assert_close(mine_grad, their_grad, atol=1e-5, rtol=1e-3)


@torch.no_grad()
def test_the_first_masks_are_the_first_of_all(base_sam: Sam) -> None:
    image, sparse = torch.randn(1, 256, 64, 64), torch.randn(3, 2, 256)
    pe = base_sam.prompt_encoder.get_dense_pe()
    first, all_of_them = (decode(base_sam.mask_decoder, image, pe, sparse, masks) for masks in (1, 4))
    assert first[0].shape == (3, 1, 256, 256) and first[1].shape == (3, 1)
    torch.testing.assert_close(first[0], all_of_them[0][:, :1])


@torch.no_grad()
def test_a_window_as_large_as_the_image_changes_nothing(base_sam: Sam) -> None:
    image, sparse = torch.randn(1, 256, 64, 64), torch.randn(2, 3, 256)
    pe = base_sam.prompt_encoder.get_dense_pe()
    whole = decode(base_sam.mask_decoder, image, pe, sparse, 1)
    seen = decode(base_sam.mask_decoder, image, pe, sparse, 1, Windows(torch.zeros(2, 2, dtype=torch.int64), (64, 64)))
    for a, b in zip(seen, whole, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_windows_hold_their_own_tokens() -> None:
    tokens = torch.arange(12.0).reshape(1, 12, 1)  # 3 rows of 4
    found = Windows(torch.tensor([[0, 0], [1, 2]]), (2, 2)).of(tokens, 4)
    assert found[..., 0].tolist() == [[0, 1, 4, 5], [6, 7, 10, 11]]
