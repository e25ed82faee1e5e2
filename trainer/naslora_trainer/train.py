"""Stage-wise fine-tuning (METHOD, section 2): the loop."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .adapter import Adapter, AdapterMeta
from .architecture import ArchitectureHistory
from .checkpoint import job_digest, load_checkpoint, save_checkpoint
from .config import FineTuneConfig
from .continuing import compose
from .data import TELL_BACKGROUND, TrainingImage, one_object_each, some_background
from .devices import pick_device, pick_precision
from .distributed import World
from .examinee import Examinee
from .feed import Feed
from .fold import consolidate
from .gate import Gate, peak_memory_mb
from .gradients import Gradients
from .interpolation import SHARES, keep_what_helps
from .network import TrainableSam
from .optimisers import Optimisers
from .seed_head import SeedHead, tensors_of
from .seed_training import learned_head
from .splits import Split, split_images
from .stages import Schedule
from .telling import Event, Telling

#: The architecture is recorded about so often.
RECORDS = 50
#: Where checkpoints are wanted, they are written as often as this share of the time allows, the first one at once: a
#: process that is killed loses little.
CHECKPOINT_SHARE = 0.02


class Cancelled(Exception):
    """The person asked to stop."""


def finetune(
    config: FineTuneConfig,
    images: Sequence[TrainingImage],
    on_event: Callable[[Event], None] = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
    scratch: Path | None = None,
    checkpoint: Path | None = None,
) -> Adapter | None:
    """Fine-tune a base model on labelled images.

    Under ``torchrun`` (or an initialised :mod:`torch.distributed`) all processes share every step; each returns the
    same adapter, the first one tells the events.

    Parameters
    ----------
    config : FineTuneConfig
        Settings.
    images : sequence of TrainingImage
        All labels gathered so far; images without objects are left out.
    on_event : callable
        Gets ``started``, ``progress``, ``metric``, ``architecture``, ``sights``, ``comparison`` and ``warning`` events.
    should_stop : callable
        Asked before every step, in it, and wherever an image is encoded.
    scratch : Path, optional
        Folder for cache files, which a later training finds again; without one the cache is bounded to
        ``config.cache_mb`` of RAM.
    checkpoint : Path, optional
        Written every ``config.checkpoint_every`` steps and when it is stopped. If the file is there, training goes on
        from it, with the result it would have had without the interruption (on a CPU bit for bit).

    Returns
    -------
    Adapter or None
        Its ``meta.report`` holds what :meth:`naslora_trainer.gate.Gate.verdict` returns, ``fold``, ``train_s`` and
        ``peak_mb``. None when it was stopped.

    Raises
    ------
    UserError
        There is too little to train on, the checkpoint is damaged or of another job, or no step has a finite loss.
    """
    try:
        return _FineTune(config, images, on_event, should_stop, scratch, checkpoint).run()
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
        checkpoint: Path | None,
    ) -> None:
        self.config, self.checkpoint = config, checkpoint
        self.device = pick_device(config.device)
        self.world = World.joined(self.device)
        self.should_stop = lambda: self.world.any(should_stop())
        self.started = time.monotonic()
        self.split: Split = split_images(images)
        self.tell = Telling(on_event if self.world.leads else lambda event: None, config, self.split, self.device)
        torch.manual_seed(config.seed)
        self.schedule = Schedule.of(config)
        self.network = TrainableSam(config, self.device, scratch)
        self.job = job_digest(config, images, self.network.start)
        self.feed = Feed(config, self.split, self.network.sam.image_encoder.img_size)
        self.gradients = Gradients(
            self.network,
            self.world,
            pick_precision(self.device, config.precision),
            self.tell.warning,
            self._check_stop_alone,
        )
        self.history = ArchitectureHistory()
        self.optimisers = Optimisers(config, self.network, self.gradients, self.tell.warning)
        self.step = 0
        #: When a checkpoint was written, and how long that took, in s.
        self.kept, self.keeping = 0.0, 0.0
        #: Network, architecture and validation Dice before the fold.
        self.unfolded: dict[str, Any] | None = None
        self.fold_report: dict[str, Any] = {}

    def run(self) -> Adapter:
        self.tell.started()
        self._go_on_from_checkpoint()
        self.tell.progress(self.step, "prepare", None)
        gate = Gate(self.config, self.split.validation, self.device, self._check_stop, self.split.judged)
        self._train(gate)
        if self.unfolded is None and self.network.to_fold():
            self._fold(gate)
        self._check_stop()
        self.tell.progress(self.step, "check", None)
        after = gate.measure(self._as_it_is())
        if self.unfolded is not None and self._fold_undone(self.unfolded, after):
            gate.measure(self._as_it_is())
        shares = SHARES if self.config.interpolate else (1.0,)
        kept = keep_what_helps(self.network, gate, self._as_it_is, shares)
        self.tell.metric(self.step, kept.dice)
        candidate = self._as_it_is()
        self.tell.sights(self.step, candidate, now=True)
        head = self._head()
        verdict = gate.verdict(gate.automatic(candidate, head, self._one_object()), kept.share)
        self.tell.comparison(gate, verdict, candidate)
        return self._adapter(head, verdict | {"interpolation": kept.tried})

    def _fold_undone(self, unfolded: dict[str, Any], after: dict[str, float]) -> bool:
        """Go back to before the fold if that, with its recovery, costs too much; returns whether it did."""
        before = unfolded["dice"]
        self.fold_report |= {"before": before, "after": after, "kind": "consolidated"}
        lost = max(before[kind] - after[kind] for kind in after)
        if lost <= self.config.fold_tolerance:
            return False
        self.network.unfold(unfolded["network"])
        self.fold_report["kind"] = "branch"
        self.tell.warning(f"Folding would cost {lost:.3f} held-out Dice; the branch is kept instead.")
        return True

    def _head(self) -> SeedHead | None:
        """Return a new head that finds objects, None where it is not wanted or cannot be trained."""
        if not self.config.seed_head:
            return None
        self.tell.progress(self.step, "seeds", None)
        images = self.feed.training_images()
        head = learned_head(self.network, images, self.gradients.dtype, self._check_stop)
        if head is None:
            self.tell.warning("The part that finds objects by itself could not be trained: its loss was not finite.")
        elif not some_background(images):
            self.tell.warning(TELL_BACKGROUND)
        return head

    def _train(self, gate: Gate) -> None:
        """Take the steps that are left; the checkpoint of one that is stopped is that of before it."""
        place = self._place()
        try:
            while self.step < self.config.steps:
                self._check_stop()
                if self._change_stage(gate):
                    place = self._place()
                if not self._take_a_step():
                    return
                place = self._place()
                self._look_around(gate)
        except Cancelled:
            self._return_to(place)
            self._save()
            raise

    def _change_stage(self, gate: Gate) -> bool:
        """Settle or fold, where the next step is the first one after it; returns whether it did."""
        settles = self.step == self.schedule.settle and self.schedule.stage(self.step) == "settle"
        folds = self.step == self.schedule.consolidate and self.unfolded is None and bool(self.network.to_fold())
        if settles:
            self.tell.metric(self.step, gate.measure(self._as_it_is()))
            self.network.settle(self.config.prune_below)
            self.optimisers.keep()
        if folds:
            self._fold(gate)
        return settles or folds

    def _take_a_step(self) -> bool:
        """Take a step and tell it; returns whether there is a use in going on."""
        stage = self.schedule.stage(self.step)
        begun = time.monotonic()
        loss = self._step()
        self.tell.busy += time.monotonic() - begun
        if loss is None and self.optimisers.gives_up(self.step):
            return False
        self.step += 1
        self._record()
        self.tell.progress(self.step, stage, loss)
        return True

    def _look_around(self, gate: Gate) -> None:
        """Measure, keep and show what a step led to, where it is time for that."""
        every = self.config.validate_every
        if every and self.step % every == 0 and self.step < self.config.steps:
            self.tell.metric(self.step, gate.measure(self._as_it_is()))
        if self._checkpoint_due():
            self._save()
        if self.step == 1:  # not before: a person waits for the first step
            self.tell.metric(0, gate.before)
            gate.rest()
        self.tell.sights(self.step, self._as_it_is(), now=self.step == 1)

    def _place(self) -> dict[str, Any]:
        """Return what a step changes before it is taken, for :meth:`_return_to`."""
        return {
            "network": self.network.state(),
            "optimisers": self.optimisers.place(),
            "feed": copy.deepcopy(self.feed.state()),
            "random": torch.get_rng_state(),
        }

    def _return_to(self, place: dict[str, Any]) -> None:
        """Undo a step that was begun. A fold is not undone: after one, a new place is taken first."""
        self.network.load(place["network"])
        self.optimisers.return_to(place["optimisers"])
        self.feed.restore(place["feed"])
        torch.set_rng_state(place["random"])

    def _checkpoint_due(self) -> bool:
        """Return whether to write a checkpoint after this step; there is one before the last check."""
        every = self.config.checkpoint_every
        late = (time.monotonic() - self.kept) * CHECKPOINT_SHARE > self.keeping
        return bool(every) and (self.step % every == 0 or late or self.step == self.config.steps)

    def _step(self) -> float | None:
        """One step; returns the loss of its weights, or None when it was skipped.

        Some steps of the search first update the architecture, on images that were held back from the weights since the
        last time (first-order DARTS, Liu et al. 2019; see :class:`naslora_trainer.feed.Feed`).
        """
        stage, step = self.schedule.stage(self.step), self.step + 1
        self.optimisers.set_rate(self.schedule.learning_rate(self.step))
        if stage == "search":
            self.network.set_temperature(self.schedule.temperature(self.step, self.config.temperature))
        if self.optimisers.searches and self.schedule.trains_alpha(self.step):
            self.optimisers.update_architecture(self.feed.search_samples(), step)
        return self.optimisers.update_weights(self.feed.samples(hold_back=stage == "search"), step)

    def _fold(self, gate: Gate) -> None:
        """Consolidate on the training images; the unfolded network stays as teacher of the recovery."""
        dice = gate.measure(self._as_it_is())
        self.tell.metric(self.step, dice)

        def calibrate() -> None:
            for image in self.feed.training_images():
                self._check_stop_alone()
                self.network.encode(image)

        folds = consolidate(self.network.to_fold(), calibrate)
        self.unfolded = {
            "dice": dice,
            "network": self.network.state(),
            "architecture": self.network.architecture(),
        }
        layers = {
            path: {"spatial_energy": round(fold.spatial_energy, 6), "residual": round(fold.residual, 6)}
            for path, fold in folds.items()
        }
        self.fold_report = {"pointwise": "exact", "layers": layers}
        self._go_on_folded({path: fold.down for path, fold in folds.items()})

    def _go_on_folded(self, downs: dict[str, Tensor]) -> None:
        self.gradients.teacher = self.network.frozen_embed()
        self.network.fold(downs)
        self.optimisers.renew()

    def _go_on_from_checkpoint(self) -> None:
        """Go on from the checkpoint if there is one."""
        if self.checkpoint is None or not self.checkpoint.exists():
            return
        state = load_checkpoint(self.checkpoint, self.job)
        rest, network = state["rest"], state["network"]
        self.step, self.tell.busy, self.optimisers.skipped = state["step"], rest["busy"], rest["skipped"]
        self.gradients.prompts, self.gradients.images = rest["parts"]
        self.gradients.dtype = pick_precision(self.device, rest["precision"])
        self.history = ArchitectureHistory.from_json(rest["history"])
        self.feed.restore(rest["feed"])
        if self.step > self.schedule.settle:
            self.network.settle(0.0)
        if network["unfolded"]:
            self.unfolded = {"network": network["unfolded"], **rest["unfolded"]}
            self.network.load(self.unfolded["network"])
            self.fold_report = rest["fold"]
            self._go_on_folded({path: layer["down"] for path, layer in network["now"]["layers"].items()})
        self.network.load(network["now"])
        self.optimisers.load(state["optimizers"])
        torch.set_rng_state(state["random"])

    def _save(self) -> None:
        """Write a checkpoint, where one is wanted."""
        if self.checkpoint is None or not self.world.leads:
            return
        begun = time.monotonic()
        unfolded = self.unfolded or {}
        rest = {
            "busy": self.tell.busy,
            "skipped": self.optimisers.skipped,
            "parts": [self.gradients.prompts, self.gradients.images],
            "precision": str(self.gradients.dtype).removeprefix("torch."),
            "history": self.history.to_json(),
            "feed": self.feed.state(),
            "fold": self.fold_report,
            "unfolded": {k: unfolded[k] for k in ("dice", "architecture") if unfolded},
        }
        network = {
            "now": self.network.state(),
            "unfolded": unfolded.get("network", {}),
        }
        save_checkpoint(self.checkpoint, self.job, self.step, network, self.optimisers.state(), rest)
        self.kept = time.monotonic()
        self.keeping = self.kept - begun

    def _adapter(self, head: SeedHead | None, verdict: dict[str, Any]) -> Adapter:
        report = verdict | {
            "fold": self.fold_report,
            "images": self.tell.images,
            "objects": self.split.objects(),
            "seen_px": max(image.side for image in self.split.train),
            "one_object": self._one_object(),
            "background": some_background(self.feed.training_images()),
            "steps": self.step,
            "train_s": round(time.monotonic() - self.started, 2),
            "busy_s": round(self.tell.busy, 2),
            "peak_mb": peak_memory_mb(self.device),
            "config": self.config.model_dump(exclude={"start", "compare_with"}),  # no paths: adapters are shared
            "device": self.device,
            "precision": str(self.gradients.dtype).removeprefix("torch."),
            "architecture_history": self.history.to_json(),
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
            classes=head.classes if head else (),
            architecture=self.unfolded["architecture"] if self.unfolded else self.network.architecture(),
            report=report,
        )
        adapter = Adapter(self.network.tensors() | (tensors_of(head) if head else {}), meta)
        return compose(self.network.start, adapter) if self.network.start else adapter

    def _one_object(self) -> bool:
        return one_object_each((*self.split.train, *self.split.validation))

    def _record(self) -> None:
        """Keep the architecture of this step, until the fold."""
        if self.unfolded is not None or not self.network.layers or not self.config.searches:
            return
        if self.step % max(1, self.config.steps // RECORDS) == 0 or self.step == self.schedule.settle:
            self.history.record(self.step, self.network.architecture())
            self.tell.architecture(self.step, self.history.last)

    def _as_it_is(self) -> Examinee:
        """Return the network to be asked, until the next step."""
        network = self.network
        return Examinee(network.sam, network.learns, check_stop=self._check_stop_alone, encode=network.encode)

    def _check_stop(self) -> None:
        if self.should_stop():
            raise Cancelled

    def _check_stop_alone(self) -> None:
        """Check where several processes would not come equally often, and wait for each other for ever."""
        if self.world.size == 1:
            self._check_stop()
