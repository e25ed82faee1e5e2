"""How much of what was learned is kept: the weights between the start and the fine-tuned model.

A model that is fine-tuned on few images answers others worse than it might; weights between it and what it started
from often answer better than both (WiSE-FT, Wortsman et al. 2022, arXiv 2109.01903).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .examinee import Examinee
from .gate import Gate
from .network import TrainableSam

#: Of the way from the start to what was learned. With 0 prompts are answered as before.
SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)
#: Dice that is no difference: of two shares this close the larger one is taken, which knows more of the new images.
SLIGHT = 0.002


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
        Measures; the network is its candidate then.
    ask : callable
        Returns the network to be asked, as it is.
    shares : sequence of float
        What is tried, 0 to 1.
    """
    learned, dice, each = network.state(), {}, {}
    for share in shares:
        network.load(learned, share)
        dice[share] = gate.measure(ask())
        each[share] = gate.candidate
    best = best_share(dice)
    network.load(learned, best)
    gate.candidate = each[best]
    return Kept(best, {str(share): found for share, found in dice.items()})


def best_share(dice: Mapping[float, Mapping[str, float]]) -> float:
    """Return the share with the best mean Dice over the kinds of prompts.

    Parameters
    ----------
    dice : mapping
        By share, 0 to 1, the Dice of each kind of prompt on held-out objects.

    Returns
    -------
    float
        The largest of the shares that are within :data:`SLIGHT` of the best one.
    """
    means = {share: math.fsum(each.values()) / len(each) for share, each in dice.items()}
    return max(share for share, mean in means.items() if mean >= max(means.values()) - SLIGHT)
