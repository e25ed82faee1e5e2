"""How much of what was learned is kept: the weights between the start and the fine-tuned model.

A model that is fine-tuned on few images answers others worse than it might; weights between it and what it started
from often answer better than both (WiSE-FT, Wortsman et al. 2022, arXiv 2109.01903).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .examinee import Examinee
from .gate import Gate
from .network import TrainableSam
from .verdict import Each, means, paired

#: Of the way from the start to what was learned. With 0 prompts are answered as before.
SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)


@dataclass(frozen=True)
class Kept:
    """What is kept of what was learned.

    Attributes
    ----------
    share : float
        How far the model goes from what it started from to what it learned.
    tried : dict
        By share, as text, the Dice of each kind of prompt on validation objects.
    """

    share: float
    tried: dict[str, dict[str, float]]

    @property
    def dice(self) -> dict[str, float]:
        """That of the share."""
        return self.tried[str(self.share)]


def keep_what_helps(
    network: TrainableSam, gate: Gate, ask: Callable[[], Examinee], shares: Sequence[float] = SHARES
) -> Kept:
    """Go back from what a network learned towards the start, as far as validation objects say.

    Parameters
    ----------
    network : TrainableSam
        After its training; it is left at the share that is kept.
    gate : Gate
        Measures; the network as it is, with all that it learned, was measured last.
    ask : callable
        Returns the network to be asked, as it is.
    shares : sequence of float
        What is tried, 0 to 1; 1 always is.
    """
    learned, each = network.state(), {1.0: gate.candidate}
    for share in shares:
        if share not in each:
            network.load(learned, share)
            gate.measure(ask())
            each[share] = gate.candidate
    best = best_share(each, start_clicks="point" in network.knew)
    network.load(learned, best)
    gate.candidate = each[best]
    return Kept(best, {str(share): means(found) for share, found in each.items()})


def best_share(each: Mapping[float, Each], start_clicks: bool = True) -> float:
    """Return how much of what was learned to keep.

    A share that loses against the smallest one (:attr:`naslora_trainer.verdict.Comparison.outcome`) in clicks or in
    boxes is left out. Of the others it is the largest one that is within one standard error of the best (the rule of
    Breiman et al. 1984 for the size of a tree): few objects cannot tell them apart, and the largest one knows more of
    the new images.

    Parameters
    ----------
    each : mapping
        By share, 0 to 1, the Dice of each validation object and prompt.
    start_clicks : bool
        False where the start knows boxes only. Whoever teaches it clicks wants them: to keep nothing is no choice then,
        and what is lost in boxes is weighed against what is gained in clicks, in the mean.
    """
    start = each[min(each)]
    harmless = [share for share, dice in each.items() if (not _loses(start, dice) if start_clicks else share > 0)]
    scores = {share: _of_objects(each[share]) for share in harmless}
    best = max(scores, key=lambda share: (np.mean(scores[share]), share))
    return max(share for share in harmless if _within_one_error(scores[best] - scores[share]))


def _loses(before: Each, after: Each) -> bool:
    return any(paired(kind, before, after).outcome == "worse" for kind in means(before))


def _of_objects(dice: Each) -> np.ndarray:
    """Return the mean Dice over the prompts of each object, always in the same order."""
    objects = sorted({key[:2] for key in dice})
    prompts = {key[2] for key in dice}
    return np.array([np.mean([dice[*key, prompt] for prompt in prompts]) for key in objects])


def _within_one_error(lost: np.ndarray) -> bool:
    """Return whether a mean loss, 0 or more, is no more than its standard error; one object tells nothing of that."""
    return bool(lost.mean() <= (lost.std(ddof=1) / math.sqrt(len(lost)) if len(lost) > 1 else 0.0))
