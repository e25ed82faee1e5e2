"""Which image comes next in training, in which of its eight turns, with which prompts."""

from __future__ import annotations

from typing import Any

import numpy as np

from .config import FineTuneConfig
from .data import TrainingImage
from .errors import UserError
from .frames import Frame, frame_of
from .gradients import Sample
from .simulate import plan_prompts
from .splits import Split

#: At most one image in so many searches at a time.
HELD_SHARE = 4


class Feed:
    """Draws the samples of each step; every image comes once before one comes again.

    The search of an architecture needs images that the weights do not see. A fixed part of few images is missing in
    the weights, which was measured to cost more than the architecture gains; so the images take turns: one (as many as
    ``images_per_step``, at most a quarter) is held back from the weights between two updates of the architecture, and
    the second of them is made on it.

    Parameters
    ----------
    config : FineTuneConfig
        Prompts and seed.
    split : Split
        The images.
    side : int
        Input size of the model in pixels.

    Raises
    ------
    UserError
        No object is large enough for the model to see.
    """

    def __init__(self, config: FineTuneConfig, split: Split, side: int) -> None:
        self._config, self._images, self._side = config, split.train, side
        self._rng = np.random.default_rng(config.seed)
        self._frames: dict[tuple[int, int], Frame] = {}
        self._usable = [i for i, image in enumerate(self._images) if len(self._frame(image, 0).objects)]
        if not self._usable:
            raise UserError(
                "All labelled objects are too small for the model to see at this image size.",
                "Cut the images into smaller tiles, or label larger objects.",
            )
        #: Numbers of the images still to come, in training and in the search, and of those held back for the search.
        self._train: list[int] = []
        self._search: list[int] = []
        self._held: list[int] = []

    def samples(self, hold_back: bool = False) -> list[Sample]:
        """Return the samples of a step of the weights; ``hold_back``: without the images of the next search step."""
        without = self._held_back() if hold_back else []
        return [self._sample(self._next(self._train, without)) for _ in range(self._config.images_per_step)]

    def search_samples(self) -> list[Sample]:
        """Return the samples of a step of the architecture, of the images that were held back; then others are."""
        held = self._held_back() or self._usable
        self._held = []
        return [self._sample(held[k % len(held)]) for k in range(self._config.images_per_step)]

    def training_images(self) -> list[TrainingImage]:
        """Return all images that train."""
        return list(self._images)

    def state(self) -> dict[str, Any]:
        """Return what decides the samples to come, JSON-able."""
        queues = {"train": self._train, "search": self._search, "held": self._held}
        return {"queues": queues, "rng": self._rng.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        self._train, self._search, self._held = (
            [int(i) for i in state["queues"][name]] for name in ("train", "search", "held")
        )
        self._rng.bit_generator.state = state["rng"]

    def _held_back(self) -> list[int]:
        """Return the numbers of the images that search next; none where there is only one."""
        if not self._held and len(self._usable) > 1:
            count = min(self._config.images_per_step, max(1, len(self._usable) // HELD_SHARE))
            for _ in range(count):
                self._held.append(self._next(self._search, self._held))
        return self._held

    def _next(self, queue: list[int], without: list[int]) -> int:
        """Take the next image that is not among ``without``, which keep their places in the queue."""
        if all(i in without for i in queue):
            queue[:0] = [self._usable[k] for k in self._rng.permutation(len(self._usable))]
        place = max(k for k, i in enumerate(queue) if i not in without)
        return queue.pop(place)

    def _sample(self, index: int) -> Sample:
        image, turn = self._images[index], int(self._rng.integers(8))
        return Sample(image, turn, plan_prompts(self._frame(image, turn), self._config, self._rng))

    def _frame(self, image: TrainingImage, turn: int) -> Frame:
        key = (id(image), turn)
        if key not in self._frames:
            self._frames[key] = frame_of(image, turn, self._side)
        return self._frames[key]
