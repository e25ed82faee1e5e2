"""Which stage a step belongs to, and how fast it learns (METHOD, section 2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from .config import FineTuneConfig

Stage = Literal["warm-up", "search", "settle", "consolidate"]
#: Share of the steps in which the learning rate rises from zero.
RISE_SHARE = 0.05


@dataclass(frozen=True)
class Schedule:
    """First step of each stage, over ``steps`` steps; one in ``alpha_every`` of the search also trains alpha."""

    steps: int
    search: int
    settle: int
    consolidate: int
    alpha_every: int = 2

    @classmethod
    def of(cls, config: FineTuneConfig) -> Schedule:
        """Return the schedule of ``config``; a method without a choice of operations has no search."""
        search = round(config.steps * config.warmup_share)
        settle = search + (round(config.steps * config.search_share) if config.searches else 0)
        consolidate = round(config.steps * (config.warmup_share + config.search_share + config.settle_share))
        return cls(config.steps, search, settle, max(settle, consolidate), config.alpha_every)

    def stage(self, step: int) -> Stage:
        """Return the stage of ``step`` (0 to steps - 1)."""
        if step >= self.consolidate:
            return "consolidate"
        if step >= self.settle:
            return "settle"
        return "search" if step >= self.search else "warm-up"

    def trains_alpha(self, step: int) -> bool:
        """True for the steps of the search stage that train the architecture, too."""
        return self.stage(step) == "search" and (step - self.search) % self.alpha_every == self.alpha_every - 1

    def temperature(self, step: int, last: float) -> float:
        """Return the softmax temperature: 1 until the search, then geometrically down to ``last`` at its end."""
        if self.settle <= self.search:
            return 1.0
        done = min(1.0, max(0.0, (step - self.search + 1) / (self.settle - self.search)))
        return last**done

    def learning_rate(self, step: int) -> float:
        """Return the factor on the peak learning rate: a short rise, then a half cosine down to 5 %."""
        rise = max(1, round(RISE_SHARE * self.steps))
        if step < rise:
            return (step + 1) / rise
        return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, self.steps - rise)))
