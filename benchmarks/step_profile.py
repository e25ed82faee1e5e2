"""Where the time of one training step goes, with the stock mask decoder and with this project's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from contenders import stock_decode
from course import Setup
from naslora_trainer.devices import autocast
from naslora_trainer.feed import Feed
from naslora_trainer.gradients import Sample, prompt_loss
from naslora_trainer.network import TrainableSam
from naslora_trainer.simulate import PromptBatch, dense_prompt, sparse_tokens
from naslora_trainer.splits import split_images

#: Prompts of the step.
PROMPTS = 8
#: Rounds before anything counts; the first one fills the cache.
WARM_UP = 1

Decode = Callable[[Tensor, PromptBatch], tuple[Tensor, Tensor]]


def profile(setup: Setup, repeats: int) -> dict[str, Any]:
    """Return the median seconds of a step of ``nas-lora``, forward and backward, without the optimizer.

    The frozen beginning of the encoder is cached, and no prompt is corrected. The three ways take turns.

    Returns
    -------
    dict
        ``prompts``, ``repeats``, and by way (``stock-float32``, ``ours-float32``, ``ours-bfloat16``) ``encoder_s``,
        ``decoder_s`` (with the loss) and ``total_s``.
    """
    config = setup.config("nas-lora", prompts_per_step=PROMPTS, correction_share=0.0, scribble_share=0.0)
    network = TrainableSam(config, "cpu")
    sample = _full_sample(Feed(config, split_images(setup.images()), network.sam.image_encoder.img_size))

    def our_decode(embedding: Tensor, batch: PromptBatch) -> tuple[Tensor, Tensor]:
        sam = network.sam
        return network.decode(embedding, sparse_tokens(sam, batch), dense_prompt(sam, batch), masks=1)

    ways: dict[str, tuple[Decode, torch.dtype]] = {
        "stock-float32": (lambda embedding, batch: stock_decode(network.sam, embedding, batch), torch.float32),
        "ours-float32": (our_decode, torch.float32),
        "ours-bfloat16": (our_decode, torch.bfloat16),
    }
    rounds = [{name: step(network, sample, *way) for name, way in ways.items()} for _ in range(WARM_UP + repeats)]
    found: dict[str, Any] = {"prompts": len(sample.plan.first), "repeats": repeats}
    for name in ways:
        parts = [seconds[name] for seconds in rounds[WARM_UP:]]
        found[name] = {
            "encoder_s": round(statistics.median(encoder for encoder, _ in parts), 4),
            "decoder_s": round(statistics.median(decoder for _, decoder in parts), 4),
            "total_s": round(statistics.median(map(sum, parts)), 4),
        }
    return found


def _full_sample(feed: Feed) -> Sample:
    """Return the first sample with :data:`PROMPTS` prompts, of the fullest image where none has so many."""
    samples = [feed.samples()[0] for _ in feed.training_images()]
    return max(samples, key=lambda sample: len(sample.plan.first))


def step(network: TrainableSam, sample: Sample, decode: Decode, dtype: torch.dtype) -> tuple[float, float]:
    """Return the seconds of the encoder and of the decoder in one step, each forward and backward."""
    batch = sample.plan.first
    network.sam.zero_grad()
    begun = time.perf_counter()
    with autocast("cpu", dtype):
        embedding = network.embed([(sample.image, sample.turn)]).float()
    embedded = time.perf_counter()
    leaf = embedding.detach().requires_grad_()
    with autocast("cpu", dtype):
        logits, iou = decode(leaf, batch)
    prompt_loss(logits.float(), iou.float(), torch.zeros(len(batch), dtype=torch.bool), batch).backward()
    decoded = time.perf_counter()
    embedding.backward(leaf.grad)
    return embedded - begun + time.perf_counter() - decoded, decoded - embedded
