"""Training of the head that finds objects, on what the fine-tuned encoder says of the labelled images."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .adapter_meta import MOST_CLASSES
from .data import TrainingImage, objects_of
from .network import TrainableSam
from .seed_head import MAPS, SeedHead, new_head
from .seed_targets import seed_targets

#: Images in their turns that it learns from, at most: 2 MiB each for the embedding.
MOST_VIEWS = 96
#: Steps of the head in one step of the fine-tune, and views in each.
STEPS_PER_STEP, VIEWS_PER_STEP = 5, 2
#: Peak learning rate.
LEARNING_RATE = 4e-3
#: Weight of the distances in the loss.
DISTANCE_WEIGHT = 4.0
#: Weight of the classes, where there are several.
CLASS_WEIGHT = 1.0
#: Probabilities that are tried as the one from which a pixel is of an object.
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)

Embed = Callable[[TrainingImage, int], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class View:
    """An image in one of its turns: embedding and picture (half precision), maps, where they count, and classes."""

    embedding: Tensor
    picture: Tensor
    maps: Tensor
    counts: Tensor
    classes: Tensor


def learned_head(
    network: TrainableSam, images: Sequence[TrainingImage], dtype: torch.dtype, check_stop: Callable[[], None]
) -> SeedHead | None:
    """Return a head for ``network`` as it is now (see :func:`train_head`), trained as its config says.

    Where the branch of a fold is kept, that is the folded encoder, whose embeddings are held near those of the branch.
    """
    config, side = network.config, network.sam.image_encoder.img_size
    return train_head(images, lambda i, turn: network.seen(i, turn, dtype), side, config.steps, config.seed, check_stop)


def train_head(
    images: Sequence[TrainingImage],
    embed: Embed,
    side: int,
    steps: int,
    seed: int,
    check_stop: Callable[[], None] = lambda: None,
) -> SeedHead | None:
    """Return a head trained on labelled images, or None where its loss does not stay finite.

    The encoder is only asked, so that prompts are answered as before. Random choices come from a stream of its own.

    Parameters
    ----------
    images : sequence of TrainingImage
        With labelled objects.
    embed : callable
        Returns embedding (1, 256, h, w) and picture (1, 3, 256, 256) of an image in one of its eight turns.
    side : int
        Input size of the model in pixels.
    steps : int
        Steps of the fine-tune; the head takes :data:`STEPS_PER_STEP` times as many, which are far cheaper.
    seed : int
        Of the random choices.
    check_stop : callable
        Called before every step; what it raises ends the training.
    """
    rng = np.random.default_rng([seed, 1])
    classes = classes_in(images)
    views = []
    for index, turn in _drawn(len(images), min(max(steps, 1), MOST_VIEWS), rng):
        check_stop()
        views.append(view_of(images[index], turn, embed, side, classes))
    head = new_head(seed, classes).to(views[0].maps.device)
    total = steps * STEPS_PER_STEP
    optimizer = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=total + 1, pct_start=0.2)
    for _ in range(total):
        check_stop()
        some = [views[k] for k in rng.choice(len(views), min(VIEWS_PER_STEP, len(views)), replace=False)]
        loss = _loss(head, some)
        if not torch.isfinite(loss):
            return None
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    if not all(bool(torch.isfinite(p).all()) for p in head.parameters()):
        return None
    calibrate(head.requires_grad_(False).eval(), views)
    return head


@torch.no_grad()
def calibrate(head: SeedHead, views: Sequence[View]) -> None:
    """Shift the head's logit of an object so that 0 is where its answers agree best with the labels.

    Objects and background weigh the same in the loss, so that a head finds thin or rare objects at all, and draws them
    too thick: retinal vessels had an IoU of 0.50 at a probability of 0.5 and of 0.62 at 0.85.
    """
    found = torch.zeros(len(THRESHOLDS), dtype=torch.float64)
    for view in views:
        inside, counts = view.maps[0] > 0, view.counts
        answer = head(view.embedding[None].float(), view.picture[None].float())[0, 0].sigmoid()
        for i, threshold in enumerate(THRESHOLDS):
            drawn = (answer >= threshold) & counts
            union = int(((drawn | inside) & counts).sum())
            found[i] += int((drawn & inside).sum()) / max(1, union)
    best = THRESHOLDS[int(found.argmax())]
    head.shift(-math.log(best / (1 - best)))


def _drawn(images: int, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return ``count`` different pairs of image and turn, or all there are; each image comes equally often."""
    turns = [rng.permutation(8) for _ in range(images)]
    pairs = [(int(i), int(turns[i][k])) for k in range(8) for i in rng.permutation(images)]
    return pairs[:count]


def classes_in(images: Sequence[TrainingImage]) -> tuple[str, ...]:
    """Return the names of the classes of the labelled objects; none where there are not several.

    They are in the person's order, which becomes that of their numbers; names without a place in it come last, sorted.
    Of too many the ones with the most objects are kept.
    """
    names = Counter(image.classes[key] for image in images for key in objects_of(image) if key in image.classes)
    order = list(dict.fromkeys(name for image in images for name in image.class_order))
    places = {name: place for place, name in enumerate(order)}
    kept = [name for name, _ in names.most_common(MOST_CLASSES)]
    kept.sort(key=lambda name: (places.get(name, len(places)), name))
    return tuple(kept) if len(kept) > 1 else ()


def view_of(image: TrainingImage, turn: int, embed: Embed, side: int, classes: Sequence[str] = ()) -> View:
    """Return what the head is to learn of an image in one of its turns; see :func:`train_head`."""
    embedding, picture = embed(image, turn)
    targets = seed_targets(image, turn, side, classes)
    maps, counts, of_class = (
        torch.from_numpy(part).to(embedding.device) for part in (targets.maps, targets.counts, targets.classes)
    )
    return View(embedding[0].to(torch.bfloat16), picture[0].to(torch.bfloat16), maps, counts, of_class)


def _loss(head: SeedHead, views: Sequence[View]) -> Tensor:
    """Return the loss: cross-entropy of object or not, squared error of the distances; objects and background weigh
    the same in it. Where there are classes, the cross-entropy of these is added."""
    embedding = torch.stack([view.embedding for view in views]).float()
    picture = torch.stack([view.picture for view in views]).float()
    maps = torch.stack([view.maps for view in views])
    counts = torch.stack([view.counts for view in views])
    logits = head(embedding, picture)
    inside, outside = counts & (maps[:, 0] > 0), counts & (maps[:, 0] == 0)
    entropy = functional.binary_cross_entropy_with_logits(logits[:, 0], maps[:, 0], reduction="none")
    error = (logits[:, 1:MAPS].sigmoid() - maps[:, 1:]).square().sum(dim=1)
    each = entropy + DISTANCE_WEIGHT * error
    loss = _mean(each, inside) + _mean(each, outside)
    if not head.classes:
        return loss
    return loss + CLASS_WEIGHT * _class_loss(logits[:, MAPS:], torch.stack([view.classes for view in views]))


def _class_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the cross-entropy of classes inside labelled objects; each class that is there weighs the same.

    Parameters
    ----------
    logits : Tensor
        (B, K, H, W).
    classes : Tensor
        (B, H, W) uint8: 1..K; 0 does not count.
    """
    target = classes.long()
    size = torch.bincount(target.flatten(), minlength=logits.shape[1] + 1)
    size[0] = 0
    share = torch.where(size > 0, 1 / size.clamp_min(1), 0) / (size > 0).sum().clamp_min(1)
    entropy = functional.cross_entropy(logits, target - 1, ignore_index=-1, reduction="none")
    return (entropy * share[target]).sum()


def _mean(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum() / where.sum().clamp_min(1)
