"""Is a new model better than the one in use? Judged by the same held-out objects, and by how much these can tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scipy.special import stdtrit

Outcome = Literal["better", "no difference", "worse"]
Verdict = Literal["better", "probably better", "no difference", "worse"]
#: Dice of each object: by name of the image, id, and prompt.
Each = Mapping[tuple[str, int, str], float]

#: A difference beyond this share of what chance gives is one.
SURE = 0.95
#: Up to this much is no difference, however sure.
SLIGHT = 0.005
#: Beyond this a loss counts, however unsure, and so does a gain: with few objects chance hides both, and of the two a
#: loss is to be believed earlier.
LOSS = {"click": 0.03, "box": 0.03, "automatic": 0.2}
GAIN = {"click": 0.1, "box": 0.1, "automatic": 0.2}
#: F1 from which on it is a gain that a model finds objects by itself, where the one in use never learned that.
USEFUL_F1 = 0.5
_NAMES = {"click": "clicks", "box": "boxes", "automatic": "automatic"}


@dataclass(frozen=True)
class Comparison:
    """One score of two models.

    Attributes
    ----------
    kind : str
        ``click`` or ``box`` (mean Dice), or ``automatic`` (F1).
    before, after : float or None
        Of the model in use, None where it has no such score, and of the new one; 0 to 1.
    noise : float
        Half the width of the confidence interval of the difference; infinite where nothing is known of it.
    """

    kind: str
    before: float | None
    after: float
    noise: float

    @property
    def gain(self) -> float:
        """By how much the new model is higher; 0 where there is nothing to compare with."""
        return 0.0 if self.before is None else self.after - self.before

    @property
    def outcome(self) -> Outcome:
        """What the difference means."""
        if self.before is None:
            return "better" if self.after >= USEFUL_F1 else "no difference"
        gain = self.gain
        if abs(gain) <= SLIGHT or -LOSS[self.kind] <= gain <= GAIN[self.kind] and abs(gain) <= self.noise:
            return "no difference"
        return "better" if gain > 0 else "worse"

    def to_json(self) -> dict[str, Any]:
        """Return all of it; ``noise`` is None where it is unknown."""
        noise = self.noise if math.isfinite(self.noise) else None
        return {"before": self.before, "after": self.after, "noise": noise, "outcome": self.outcome}

    def __str__(self) -> str:
        before = "none" if self.before is None else f"{self.before:.3f}"
        return f"{_NAMES[self.kind]} {before} -> {self.after:.3f} ({self.outcome})"


def means(each: Each) -> dict[str, float]:
    """Return the mean Dice by prompt; the order of the objects does not matter to a bit."""
    return {prompt: _mean([dice for key, dice in each.items() if key[2] == prompt]) for prompt in ("click", "box")}


def paired(kind: str, before: Each, after: Each) -> Comparison:
    """Compare two models on the same objects.

    The noise is that of a paired t-test: objects differ much more from each other than one model does from the other
    on the same object. Objects of one image are taken for independent, which they are not quite.

    Parameters
    ----------
    kind : str
        ``click`` or ``box``.
    before, after : mapping
        Dice of the same objects.
    """
    gains = [after[key] - dice for key, dice in before.items() if key[2] == kind]
    return Comparison(kind, means(before)[kind], means(after)[kind], _noise(gains))


def found(before: float | None, after: float, objects: int) -> Comparison:
    """Compare how well two models find objects by themselves.

    Parameters
    ----------
    before, after : float
        F1; ``before`` is None where the model in use has not learned it.
    objects : int
        How many labelled objects there are. Which of them each model found is not known here, so the noise is that of
        two independent samples, rather too large.
    """
    if before is None:
        return Comparison("automatic", None, after, math.inf)
    variance = before * (1 - before) + after * (1 - after)
    return Comparison("automatic", before, after, 2 * math.sqrt(variance / max(objects, 1)))


def overall(comparisons: Sequence[Comparison]) -> tuple[Verdict, str]:
    """Return what the scores together mean, and a sentence that says why.

    Worse in one is worse, since a model answers clicks and boxes and finds all objects; otherwise better in one is
    better. Where no difference is clear, a model that is higher in one score and lower in none is probably better: it
    learned from more labels.
    """
    outcomes, gains = {one.outcome for one in comparisons}, [one.gain for one in comparisons]
    verdict: Verdict = "no difference"
    if "worse" in outcomes:
        verdict = "worse"
    elif "better" in outcomes:
        verdict = "better"
    elif min(gains) >= -SLIGHT and max(gains) > SLIGHT:
        verdict = "probably better"
    words = "no better" if verdict == "no difference" else verdict
    scores = ", ".join(map(str, comparisons))
    return verdict, f"On held-out objects the new model is {words} than the one in use: {scores}."


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _noise(gains: Sequence[float]) -> float:
    count = len(gains)
    if count < 2:
        return math.inf
    mean = _mean(gains)
    variance = math.fsum((gain - mean) ** 2 for gain in gains) / (count - 1)
    return float(stdtrit(count - 1, (1 + SURE) / 2)) * math.sqrt(variance / count)
