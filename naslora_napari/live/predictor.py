"""The model that answers while a person works, and the swap of its weights."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.images import to_rgb8
from naslora_trainer.native import load_triton_apart, reuse_freed_memory
from naslora_trainer.prompts import Prediction, Prompts

if TYPE_CHECKING:
    from segment_anything import SamPredictor
    from segment_anything.modeling import Sam

    from naslora_trainer.adapter import Adapter


@dataclass(frozen=True)
class _State:
    """A model together with the image it has encoded. Never changed: a swap or a new image makes another one."""

    predictor: SamPredictor
    learned: tuple[str, ...]
    adapter: Adapter | None
    version: str
    image: np.ndarray | None = None


class LivePredictor:
    """Answers prompts on one image, with weights that can be swapped while it works.

    A prediction sees the old or the new model, with the image that this model has encoded, never a mixture: the
    model and its image are one immutable state, and a swap replaces the state. Every method may be called from any
    thread; :meth:`set_image` and :meth:`swap` take seconds and belong in a worker.

    Parameters
    ----------
    base : str
        Id of the base model.
    adapter : Adapter or Path, optional
        What to start with.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``.

    Attributes
    ----------
    swap_seconds : float
        For how long the last swap or rollback kept predictions waiting.
    """

    def __init__(self, base: str = DEFAULT_MODEL, adapter: Adapter | Path | None = None, device: str = "auto") -> None:
        self.base = base
        self.swap_seconds = 0.0
        self._device = device
        self._start_with = adapter
        self._state: _State | None = None
        self._previous: _State | None = None
        self._use = threading.Lock()  # held by a prediction, and by the moment in which the state is replaced
        self._change = threading.RLock()  # one load, encode, swap or rollback at a time

    def load(self) -> None:
        """Load the model, if that has not happened yet.

        Raises
        ------
        UserError
            The base model or the adapter cannot be used.
        """
        with self._change:
            if self._state is None:
                load_triton_apart()
                reuse_freed_memory()
                self._replace(self._build(self._start_with))

    def set_image(self, image: np.ndarray) -> None:
        """Encode ``image``: gray or RGB(A), any number type (see :func:`naslora_trainer.images.to_rgb8`)."""
        rgb = to_rgb8(image)
        with self._change:
            self.load()
            self._replace(_encoded(self._loaded(), rgb))

    def predict(self, prompts: Prompts) -> Prediction:
        """Answer ``prompts``; ``version`` in the answer says which model it was.

        Raises
        ------
        UserError
            A prompt lies outside the image.
        RuntimeError
            No image is set.
        ValueError
            The prompts are empty.
        """
        from naslora_trainer.answer import answer

        with self._use:
            state = self._state
            if state is None or state.image is None:
                raise RuntimeError("no image is set")
            checked = prompts.checked(state.image.shape[:2])
            return answer(state.predictor, checked, state.learned, state.version)

    def swap(self, adapter: Adapter | Path | None) -> str:
        """Change to base + ``adapter`` (None: the base alone) and return the new version.

        The new model is built and encodes the current image beside the old one, which answers meanwhile.

        Raises
        ------
        UserError
            The file is damaged or belongs to another base; the old model stays.
        """
        with self._change:
            self.load()
            old = self._loaded()
            new = self._build(adapter)
            self._replace(new if old.image is None else _encoded(new, old.image))
            self._previous = old
            return new.version

    def rollback(self) -> str:
        """Change back to the model before the last swap, bit by bit the same, and return its version.

        A second rollback undoes the first.

        Raises
        ------
        RuntimeError
            Nothing was swapped yet.
        """
        with self._change:
            old, now = self._previous, self._loaded()
            if old is None:
                raise RuntimeError("there is no earlier model")
            if now.image is not None and old.image is not now.image:
                old = _encoded(old, now.image)
            self._replace(old)
            self._previous = now
            return old.version

    @property
    def is_loaded(self) -> bool:
        """True when a model is loaded."""
        return self._state is not None

    @property
    def is_ready(self) -> bool:
        """True when a model is loaded and an image encoded."""
        return self._state is not None and self._state.image is not None

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """Rows and columns of the encoded image."""
        state = self._state
        return None if state is None or state.image is None else (state.image.shape[0], state.image.shape[1])

    @property
    def can_rollback(self) -> bool:
        """True after a swap."""
        return self._previous is not None

    @property
    def version(self) -> str:
        """The model in use: the base id, with ``+`` and the adapter's id if there is one."""
        return self.base if self._state is None else self._state.version

    @property
    def adapter(self) -> Adapter | None:
        """The adapter in use."""
        return None if self._state is None else self._state.adapter

    @property
    def learned(self) -> tuple[str, ...]:
        """What the model in use was trained on (see :func:`naslora_trainer.models.learned_prompts`)."""
        return self._loaded().learned

    @property
    def model(self) -> Sam:
        """The network in use; it is loaded if need be, and must not be changed."""
        self.load()
        return self._loaded().predictor.model

    def _loaded(self) -> _State:
        state = self._state
        if state is None:
            raise RuntimeError("the model is not loaded")
        return state

    def _replace(self, state: _State) -> None:
        started = time.perf_counter()
        with self._use:
            self._state = state
        self.swap_seconds = time.perf_counter() - started

    def _build(self, adapter: Adapter | Path | None) -> _State:
        from segment_anything import SamPredictor

        from naslora_trainer.adapter import Adapter
        from naslora_trainer.devices import pick_device
        from naslora_trainer.models import build, learned_prompts

        chosen = Adapter.load(adapter) if isinstance(adapter, Path) else adapter
        sam = build(self.base, chosen, pick_device(self._device))
        version = self.base if chosen is None else f"{self.base}+{chosen.id}"
        return _State(SamPredictor(sam), learned_prompts(self.base, chosen), chosen, version)


def _encoded(state: _State, rgb: np.ndarray) -> _State:
    """Return the state of the same model with ``rgb`` (H, W, 3) uint8 encoded."""
    from segment_anything import SamPredictor

    predictor = SamPredictor(state.predictor.model)
    predictor.set_image(rgb)
    return replace(state, predictor=predictor, image=rgb)
