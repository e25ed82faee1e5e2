"""Answers that were given lately: what was asked while the mouse rested or was pressed is there when it is clicked."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from naslora_trainer.prompts import Box, Prediction, Prompts

from .predictor import LivePredictor

#: So many are kept: what is under the mouse, what was asked, and what was asked before.
KEPT = 4


@dataclass(frozen=True, eq=False)
class _Answer:
    setting: object
    visible: Box | None
    asked: Prompts
    found: Prediction


class Answers:
    """Asks a predictor, unless it answered the very same before: of the same image, with the same model and zoom.

    Parameters
    ----------
    predictor : LivePredictor
        That is asked, in the thread of the one who asks.
    """

    def __init__(self, predictor: LivePredictor) -> None:
        self._predictor = predictor
        self._kept: deque[_Answer] = deque(maxlen=KEPT)

    def ask(self, prompts: Prompts) -> Prediction:
        """Answer ``prompts``; raises what :meth:`LivePredictor.predict` raises."""
        predictor = self._predictor
        setting, visible = predictor.setting, predictor.visible
        for kept in tuple(self._kept):
            if kept.setting is setting and kept.visible == visible and _same(kept.asked, prompts):
                return kept.found
        found = predictor.predict(prompts)
        if predictor.setting is setting:
            self._kept.append(_Answer(setting, visible, prompts, found))
        return found


def _same(one: Prompts, other: Prompts) -> bool:
    """Return whether prompts are equal and go on from the same mask, which their equality leaves out."""
    return one == other and one.mask is other.mask and one.mask_region == other.mask_region
