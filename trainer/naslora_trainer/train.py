"""Stage-wise fine-tuning (METHOD, section 2): the loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .adapter import Adapter, AdapterMeta
from .config import FineTuneConfig
from .data import TrainingImage
from .devices import pick_device
from .errors import UserError
from .fold import consolidate
from .frames import Frame, frame_of
from .gate import Gate, peak_memory_mb
from .loss import prompted_loss
from .network import TrainableSam
from .simulate import PromptBatch, sample_prompts, sparse_tokens
from .splits import Split, split_images
from .stages import Schedule, Stage

Event = dict[str, Any]
Embed = Callable[[TrainingImage, int], Tensor]
#: Weight of the pull to the unfolded model's embedding while a fold recovers.
DISTILL_WEIGHT = 1.0
#: Weight of the balance loss of a mixture of experts (Zhong et al. 2024).
BALANCE_WEIGHT = 1e-2
#: So many skipped steps in a row (a loss that is not finite) end the training.
MOST_SKIPPED = 10


class Cancelled(Exception):
    """The person asked to stop."""


def finetune(
    config: FineTuneConfig,
    images: Sequence[TrainingImage],
    on_event: Callable[[Event], None] = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
    scratch: Path | None = None,
) -> Adapter | None:
    """Fine-tune a base model on labelled images.

    Parameters
    ----------
    config : FineTuneConfig
        Settings.
    images : sequence of TrainingImage
        All labels gathered so far; images without objects are left out.
    on_event : callable
        Gets ``started``, ``progress``, ``metric`` and ``warning`` events as dicts.
    should_stop : callable
        Asked before every step.
    scratch : Path, optional
        Folder for cache files; without one the cache is bounded to ``config.cache_mb`` of RAM.

    Returns
    -------
    Adapter or None
        Its ``meta.report`` holds ``validation`` (Dice before and after, for clicks and boxes), ``better``, ``reason``,
        ``fold``, ``train_s`` and ``peak_mb``. None when it was stopped.

    Raises
    ------
    UserError
        There is too little to train on, or the loss stays not finite.
    """
    try:
        return _FineTune(config, images, on_event, should_stop, scratch).run()
    except Cancelled:
        return None


class _FineTune:
    def __init__(
        self,
        config: FineTuneConfig,
        images: Sequence[TrainingImage],
        on_event: Callable[[Event], None],
        should_stop: Callable[[], bool],
        scratch: Path | None,
    ) -> None:
        self.config, self.emit, self.should_stop = config, on_event, should_stop
        self.started = time.monotonic()
        self.split: Split = split_images(images)
        self.device = pick_device(config.device)
        torch.manual_seed(config.seed)
        self.rng = np.random.default_rng(config.seed)
        self.schedule = Schedule.of(config)
        self.network = TrainableSam(config, self.device, scratch)
        self.teacher: Embed | None = None
        self.architecture: dict[str, dict[str, float]] = {}
        self.frames: dict[tuple[int, int], Frame] = {}
        self.queue: dict[str, list[TrainingImage]] = {"train": [], "search": []}
        self.skipped = 0
        self.optimizer = self._weights_optimizer()
        alphas = self.network.architecture_parameters()
        self.alpha_optimizer = torch.optim.Adam(alphas, lr=config.alpha_lr, betas=(0.5, 0.999)) if alphas else None

    def run(self) -> Adapter:
        counts = self.split.objects()
        images = {image.name for part in (self.split.train, self.split.search, self.split.validation) for image in part}
        self.emit(
            {
                "event": "started",
                "method": self.config.method,
                "base": self.config.base,
                "images": len(images),
                "objects": counts,
                "steps": self.config.steps,
                "device": self.device,
            }
        )
        self._check_trainable()
        self._progress(0, "prepare", None)
        gate = Gate(self.config, self.split.validation, self.device, self._check_stop)
        self._metric(0, gate.before)
        fold_report: dict[str, Any] = {}
        unfolded: tuple[dict[str, Tensor], dict[str, float]] | None = None
        for step in range(self.config.steps):
            self._check_stop()
            stage = self.schedule.stage(step)
            if step == self.schedule.settle and stage == "settle":
                self._settle(gate, step)
            if step == self.schedule.consolidate and self.network.to_fold():
                unfolded = (self.network.tensors(), gate.measure(self.network.sam, self.network.learns))
                self._metric(step, unfolded[1])
                fold_report = self._fold()
            loss = self._step(step, stage)
            self._progress(step + 1, stage, loss)
        if unfolded is None and self.network.to_fold():
            unfolded = (self.network.tensors(), gate.measure(self.network.sam, self.network.learns))
            fold_report = self._fold()
        self._check_stop()
        self._progress(self.config.steps, "check", None)
        after = gate.measure(self.network.sam, self.network.learns)
        self._metric(self.config.steps, after)
        tensors = self.network.tensors()
        if unfolded is not None:
            fold_report |= {"before": unfolded[1], "after": after, "kind": "consolidated"}
            lost = max(unfolded[1][kind] - after[kind] for kind in after)
            if lost > self.config.fold_tolerance:
                tensors, after = unfolded
                fold_report["kind"] = "branch"
                self.emit(
                    {
                        "event": "warning",
                        "message": f"Folding would cost {lost:.3f} held-out Dice; the branch is kept instead.",
                    }
                )
        return self._adapter(tensors, gate.verdict(after) | {"fold": fold_report, "objects": counts})

    def _adapter(self, tensors: dict[str, Tensor], report: dict[str, Any]) -> Adapter:
        report |= {
            "train_s": round(time.monotonic() - self.started, 2),
            "peak_mb": peak_memory_mb(self.device),
            "config": self.config.model_dump(),
            "device": self.device,
        }
        meta = AdapterMeta(
            base=self.config.base,
            fingerprint=self.network.fingerprint,
            method=self.config.method,
            rank=self.config.rank,
            operations=self.config.operations,
            partial=self.config.searched_part,
            cell_sees=self.config.cell_sees,
            prompts=self.network.learns,
            architecture=self.architecture or self.network.architecture(),
            report=report,
        )
        return Adapter(tensors, meta)

    def _settle(self, gate: Gate, step: int) -> None:
        """Freeze the architecture and drop improbable operations; search objects train from here on."""
        self._metric(step, gate.measure(self.network.sam, self.network.learns))
        self.network.settle(self.config.prune_below)

    def _fold(self) -> dict[str, Any]:
        """Consolidate on the training images; the unfolded network stays as teacher of the recovery."""

        def calibrate() -> None:
            for image in self._images("train", after_search=True):
                self.network.embed(image, 0)

        folds = consolidate(self.network.to_fold(), calibrate)
        self.architecture = self.network.architecture()
        self.teacher = self.network.frozen_embed()
        self.network.fold(folds)
        self.optimizer = self._weights_optimizer()
        layers = {
            path: {"spatial_energy": round(fold.spatial_energy, 6), "residual": round(fold.residual, 6)}
            for path, fold in folds.items()
        }
        return {"pointwise": "exact", "layers": layers}

    def _step(self, step: int, stage: Stage) -> float | None:
        """One optimisation step; returns the loss, or None when the step was skipped."""
        searching = self.schedule.trains_alpha(step) and self.alpha_optimizer is not None
        optimizer = self.alpha_optimizer if searching and self.alpha_optimizer else self.optimizer
        factor = self.schedule.learning_rate(step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        if stage == "search":
            self.network.set_temperature(self.schedule.temperature(step, self.config.temperature))
        image, turn, frame = self._next("search" if searching else "train", stage)
        loss = self._loss(image, turn, frame, step)
        if not torch.isfinite(loss):
            self._skip(step)
            return None
        self.optimizer.zero_grad(set_to_none=True)
        if self.alpha_optimizer:
            self.alpha_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        if not torch.isfinite(torch.nn.utils.clip_grad_norm_(parameters, 1.0)):
            self._skip(step)
            return None
        optimizer.step()
        self.skipped = 0
        return float(loss.detach())

    def _loss(self, image: TrainingImage, turn: int, frame: Frame, step: int) -> Tensor:
        embedding = self.network.embed(image, turn)
        batch = sample_prompts(frame, self.config.prompts_per_step, self.config.box_share, self.rng)
        if self.rng.random() < self.config.correction_share:
            batch = self._corrected(embedding, batch)
        logits, iou, several = self._answers(embedding, batch)
        targets = torch.as_tensor(batch.targets, dtype=logits.dtype, device=logits.device)[:, None]
        trusted = torch.as_tensor(batch.trusted, dtype=logits.dtype, device=logits.device)[:, None]
        loss = prompted_loss(logits, iou, targets, trusted, several)
        loss = loss + BALANCE_WEIGHT * self.network.balance()
        if self.teacher is not None:
            with torch.no_grad():
                wanted = self.teacher(image, turn)
            loss = loss + DISTILL_WEIGHT * functional.mse_loss(embedding, wanted) / wanted.var().clamp_min(1e-6)
        return loss

    @torch.no_grad()
    def _corrected(self, embedding: Tensor, batch: PromptBatch) -> PromptBatch:
        logits, iou, several = self._answers(embedding, batch)
        best = torch.where(several, iou[:, 1:].argmax(dim=1) + 1, 0) if several.any() else several.long()
        answers = logits[torch.arange(len(best), device=best.device), best] > 0
        return batch.corrected(answers.cpu().numpy())

    def _answers(self, embedding: Tensor, batch: PromptBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits, predicted IoU, and (B,) bool: prompts that the model answers with alternatives.

        The alternatives are computed only when some prompt needs them.
        """
        alternatives = batch.single_click & ("multimask" in self.network.learns)
        masks = 4 if alternatives.any() else 1
        logits, iou = self.network.decode(embedding, sparse_tokens(self.network.sam, batch), masks)
        return logits, iou, torch.as_tensor(alternatives, device=self.device)

    def _images(self, part: str, after_search: bool) -> list[TrainingImage]:
        """Images that may be used now; without alpha steps to come, the search images train as well."""
        if part == "search":
            return list(self.split.search)
        known = {id(image) for image in self.split.train}
        extra = [image for image in self.split.search if id(image) not in known] if after_search else []
        return [*self.split.train, *extra]

    def _next(self, part: str, stage: Stage) -> tuple[TrainingImage, int, Frame]:
        """Return the next image in a shuffled round, a random turn of it, and its frame."""
        after_search = stage in ("settle", "consolidate") or not self.alpha_optimizer
        if not self.queue[part]:
            images = [i for i in self._images(part, after_search) if len(self._frame(i, 0).objects)]
            self.queue[part] = [images[k] for k in self.rng.permutation(len(images))]
        image, turn = self.queue[part].pop(), int(self.rng.integers(8))
        return image, turn, self._frame(image, turn)

    def _frame(self, image: TrainingImage, turn: int) -> Frame:
        key = (id(image), turn)
        if key not in self.frames:
            self.frames[key] = frame_of(image, turn, self.network.sam.image_encoder.img_size)
        return self.frames[key]

    def _check_trainable(self) -> None:
        for part in (self.split.train, self.split.search):
            if not any(len(self._frame(image, 0).objects) for image in part):
                raise UserError(
                    "All labelled objects are too small for the model to see at this image size.",
                    "Cut the images into smaller tiles, or label larger objects.",
                )

    def _weights_optimizer(self) -> torch.optim.AdamW:
        config = self.config
        groups = [
            {"params": self.network.adapter_parameters(), "lr": config.adapter_lr, "peak": config.adapter_lr},
            {"params": self.network.decoder_parameters(), "lr": config.decoder_lr, "peak": config.decoder_lr},
        ]
        return torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=1e-4)

    def _skip(self, step: int) -> None:
        self.skipped += 1
        self.emit({"event": "warning", "message": f"Step {step + 1} was skipped: the loss was not finite."})
        if self.skipped >= MOST_SKIPPED:
            raise UserError(
                "The training does not converge: the loss stays not finite.",
                "Try a smaller learning rate, and look for images with broken pixels.",
            )

    def _check_stop(self) -> None:
        if self.should_stop():
            raise Cancelled

    def _progress(self, step: int, stage: str, loss: float | None) -> None:
        elapsed = time.monotonic() - self.started
        eta = elapsed / step * (self.config.steps - step) if step else None
        self.emit(
            {
                "event": "progress",
                "step": step,
                "steps": self.config.steps,
                "stage": stage,
                "loss": loss,
                "eta_s": eta,
            }
        )

    def _metric(self, step: int, dice: dict[str, float]) -> None:
        self.emit({"event": "metric", "step": step, "click_dice": dice["click"], "box_dice": dice["box"]})
