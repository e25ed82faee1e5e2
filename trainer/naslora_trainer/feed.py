"""Which image comes next in training, in which of its eight turns, with which prompts."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from .config import FineTuneConfig
from .data import TrainingImage
from .errors import UserError
from .frames import Frame, frame_of
from .gradients import Sample
from .simulate import plan_prompts
from .splits import Split

Part = Literal["train", "search"]


class Feed:
    """Draws the samples of each step; every image of a part comes once before one comes again.

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
        No object of a part is large enough for the model to see.
    """

    def __init__(self, config: FineTuneConfig, split: Split, side: int) -> None:
        self._config, self._split, self._side = config, split, side
        self._rng = np.random.default_rng(config.seed)
        self._frames: dict[tuple[int, int], Frame] = {}
        self._queues: dict[str, list[int]] = {"train": [], "search": []}
        # Images by number: those that train, then those that only search.
        known = {id(image) for image in split.train}
        self._images = [*split.train, *(image for image in split.search if id(image) not in known)]
        self._search = [i for i, image in enumerate(self._images) if any(image is other for other in split.search)]
        for part in (range(len(split.train)), self._search):
            if not any(self._usable(i) for i in part):
                raise UserError(
                    "All labelled objects are too small for the model to see at this image size.",
                    "Cut the images into smaller tiles, or label larger objects.",
                )

    def samples(self, part: Part, with_search: bool) -> list[Sample]:
        """Return the samples of one step.

        Parameters
        ----------
        part : str
            ``train``, or ``search`` for a step that trains the architecture.
        with_search : bool
            Whether the search images train as well, since no architecture is trained any more.
        """
        return [self._next(part, with_search) for _ in range(self._config.images_per_step)]

    def training_images(self) -> list[TrainingImage]:
        """Return all images that train in the end."""
        return list(self._images)

    def state(self) -> dict[str, Any]:
        """Return what decides the samples to come, JSON-able."""
        return {"queues": self._queues, "rng": self._rng.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        self._queues = {part: [int(i) for i in queue] for part, queue in state["queues"].items()}
        self._rng.bit_generator.state = state["rng"]

    def _next(self, part: Part, with_search: bool) -> Sample:
        queue = self._queues[part]
        if not queue:
            all_of_part = range(len(self._images) if with_search else len(self._split.train))
            usable = [i for i in (self._search if part == "search" else all_of_part) if self._usable(i)]
            queue += [usable[k] for k in self._rng.permutation(len(usable))]
        image, turn = self._images[queue.pop()], int(self._rng.integers(8))
        return Sample(image, turn, plan_prompts(self._frame(image, turn), self._config, self._rng))

    def _usable(self, index: int) -> bool:
        return bool(len(self._frame(self._images[index], 0).objects))

    def _frame(self, image: TrainingImage, turn: int) -> Frame:
        key = (id(image), turn)
        if key not in self._frames:
            self._frames[key] = frame_of(image, turn, self._side)
        return self._frames[key]
