"""The gradients of one step: in parts that fit into memory, shared between processes."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .data import TrainingImage
from .devices import autocast
from .distributed import World
from .errors import is_out_of_memory
from .loss import prompted_loss
from .network import TrainableSam, View
from .simulate import Plan, PromptBatch, dense_prompt, sparse_tokens

Embed = Callable[[Sequence[View]], Tensor]
#: Weight of the pull to the unfolded model's embedding while a fold recovers.
DISTILL_WEIGHT = 1.0
#: Weight of the balance loss of a mixture of experts (Zhong et al. 2024).
BALANCE_WEIGHT = 1e-2


@dataclass(frozen=True)
class Sample:
    """One image of a step: one of its eight turns, and the prompts that are drawn on it."""

    image: TrainingImage
    turn: int
    plan: Plan


class Gradients:
    """Adds up the gradients of a step.

    The mask decoder works on a part of an image's prompts at a time and keeps nothing of the others; the encoder works
    on a part of the images. When memory runs out, the prompts and then the images of a part are halved, and the step is
    taken again: the gradient is the same, to rounding.

    Parameters
    ----------
    network : TrainableSam
        What is trained.
    world : World
        The processes that share the work.
    dtype : torch.dtype
        Precision of matrix products.
    warn : callable
        Gets one sentence when parts become smaller.

    Attributes
    ----------
    prompts, images : int
        Size of the parts.
    """

    def __init__(
        self,
        network: TrainableSam,
        world: World,
        dtype: torch.dtype,
        warn: Callable[[str], None] = lambda text: None,
        check_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._network, self._world, self._warn, self.dtype = network, world, warn, dtype
        self._check_stop = check_stop
        self.prompts = network.config.prompts_per_step
        self.images = network.config.images_per_step
        self.teacher: Embed | None = None

    def add(self, samples: Sequence[Sample], trained: Sequence[torch.nn.Parameter]) -> float:
        """Set the gradients of ``trained`` to those of the mean loss over ``samples`` and return the loss.

        Raises
        ------
        RuntimeError
            Memory runs out with one prompt of one image at a time.
        """
        while True:
            try:
                self._clear()
                loss = self._accumulate(samples)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or not self._halve():
                    raise
            gc.collect()  # outside the handler, which holds the failed step's tensors
            if self._network.sam.device.type == "cuda":
                torch.cuda.empty_cache()
        self._world.add_up(trained)
        return self._world.total(loss)

    def _clear(self) -> None:
        for parameter in self._network.sam.parameters():
            parameter.grad = None

    def _halve(self) -> bool:
        """Make the parts smaller; False when they are as small as they get."""
        if self.prompts > 1:
            self.prompts //= 2
        elif self.images > 1:
            self.images //= 2
        else:
            return False
        self._warn(f"Memory ran out; going on with {self.prompts} prompts of {self.images} images at a time.")
        return True

    def _accumulate(self, samples: Sequence[Sample]) -> float:
        by_image = len(samples) % self._world.size == 0
        mine = samples[self._world.share(len(samples))] if by_image else samples
        loss = 0.0
        for start in range(0, len(mine), self.images):
            some = mine[start : start + self.images]
            self._check_stop()
            embeddings = self._embed(some)
            leaf = embeddings.detach().requires_grad_(embeddings.requires_grad)
            for k, sample in enumerate(some):
                self._check_stop()
                loss += self._prompts(leaf[k : k + 1], sample.plan, 1 / len(samples), by_image)
            self._check_stop()
            loss += self._rest(some, embeddings, leaf.grad, len(samples), by_image)
        return loss

    def _embed(self, samples: Sequence[Sample]) -> Tensor:
        with autocast(self._network.device, self.dtype):
            return self._network.embed([(sample.image, sample.turn) for sample in samples]).float()

    def _prompts(self, embedding: Tensor, plan: Plan, weight: float, by_image: bool) -> float:
        """Back-propagate one image's prompts to its embedding and the mask decoder."""
        count = len(plan.first)
        # Prompts are shared between processes only where images cannot be.
        block = count if by_image else -(-count // self._world.size)
        first = 0 if by_image else self._world.rank * block
        mine = range(first, min(first + block, count), self.prompts)
        loss = 0.0
        for start in mine:
            batch = self._with_corrections(embedding, plan, slice(start, min(start + self.prompts, mine.stop)))
            part = prompt_loss(*self._answers(embedding, batch), batch) * (weight * len(batch) / count)
            part.backward()
            loss += float(part.detach())
        return loss

    def _rest(
        self, samples: Sequence[Sample], embeddings: Tensor, gradient: Tensor | None, count: int, by_image: bool
    ) -> float:
        """Back-propagate from the embeddings into the encoder, with the terms that do not depend on prompts."""
        if not embeddings.requires_grad:
            return 0.0
        share = len(samples) / count / (1 if by_image else self._world.size)
        extra = BALANCE_WEIGHT * self._network.balance() * share
        if self.teacher is not None:
            with torch.no_grad():
                wanted = self.teacher([(sample.image, sample.turn) for sample in samples])
            away = functional.mse_loss(embeddings, wanted) / wanted.var().clamp_min(1e-6)
            extra = extra + DISTILL_WEIGHT * share * away
        outputs, gradients = [embeddings], [torch.zeros_like(embeddings) if gradient is None else gradient]
        if isinstance(extra, Tensor):
            torch.autograd.backward([*outputs, extra], [*gradients, torch.ones_like(extra)])
            return float(extra.detach())
        torch.autograd.backward(outputs, gradients)
        return 0.0

    @torch.no_grad()
    def _with_corrections(self, embedding: Tensor, plan: Plan, part: slice) -> PromptBatch:
        batch = plan.first.part(part)
        if not plan.corrections:
            return batch
        logits, iou, several = self._answers(embedding, batch)
        best = torch.where(several, iou[:, 1:].argmax(dim=1) + 1, 0) if several.any() else several.long()
        answers = logits[torch.arange(len(best), device=best.device), best]
        corrected = batch.corrected((answers > 0).cpu().numpy(), plan.corrections)
        corrected.masks = answers[:, None] if plan.carries_mask else None
        return corrected

    def _answers(self, embedding: Tensor, batch: PromptBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, predicted IoU, and (B,) bool: prompts that the model answers with alternatives.

        The alternatives are computed only when some prompt needs them.
        """
        network = self._network
        alternatives = batch.single_click & ("multimask" in network.learns)
        masks = 4 if alternatives.any() else 1
        sparse, dense = sparse_tokens(network.sam, batch), dense_prompt(network.sam, batch)
        with autocast(network.device, self.dtype):
            logits, iou = network.decode(embedding, sparse, dense, masks)
        return logits.float(), iou.float(), torch.as_tensor(alternatives, device=logits.device)


def prompt_loss(logits: Tensor, iou: Tensor, several: Tensor, batch: PromptBatch) -> Tensor:
    """Return the loss of answers (see :func:`naslora_trainer.loss.prompted_loss`) to a batch of prompts."""
    targets = torch.as_tensor(batch.targets, dtype=logits.dtype, device=logits.device)[:, None]
    inside = torch.as_tensor(batch.inside, dtype=logits.dtype, device=logits.device)
    return prompted_loss(logits, iou, targets, inside.expand_as(targets), several)
