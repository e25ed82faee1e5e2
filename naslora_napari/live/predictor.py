"""The model that answers while a person works, and the swap of its weights."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.native import load_triton_apart, reuse_freed_memory
from naslora_trainer.pictures import Picture, picture_of
from naslora_trainer.prompts import Box, Prediction, Prompts
from naslora_trainer.regions import MOST_SEEN, Region

from .embeddings import EmbeddingCache
from .kept_models import KeptModels, Model
from .seeing import Seeing

if TYPE_CHECKING:
    from segment_anything import SamPredictor
    from segment_anything.modeling import Sam

    from naslora_trainer.adapter import Adapter
    from naslora_trainer.seed_head import SeedHead


@dataclass(frozen=True, eq=False)
class _State:
    """A model, and the image it is asked about. Replaced as a whole: a swap or a new image makes another one."""

    model: Model
    seeing: Seeing | None = None


@dataclass(frozen=True, eq=False)
class Look:
    """A whole image as one model sees it, to ask many prompts at once.

    Attributes
    ----------
    predictor : SamPredictor
        With the image set.
    learned : tuple of str
        What the model was trained on.
    identity : tuple of str
        See :attr:`LivePredictor.identity`.
    head : SeedHead or None
        What finds objects by itself, if the model has learned that; then ``rgb`` is there, too.
    rgb : ndarray or None
        ``(H, W, 3)`` uint8: what the encoder saw.
    one_object : bool
        Whether each image that the head learned from had one object.
    """

    predictor: SamPredictor
    learned: tuple[str, ...]
    identity: tuple[str, str]
    head: SeedHead | None = None
    rgb: np.ndarray | None = None
    one_object: bool = False


class LivePredictor:
    """Answers prompts on one image, with weights that can be swapped while it works.

    A prediction sees the old or the new model, with what this model has encoded, never a mixture: it takes the model
    and its image as one state, and a swap replaces the state. Of a large image it sees a region around what is asked,
    at the zoom at which the person works (see :mod:`naslora_trainer.regions`); a mask that reaches an edge of the
    region is asked for again in a larger one. Every method may be called from any thread; all that encode take seconds
    and belong in a worker.

    Parameters
    ----------
    base : str
        Id of the base model.
    adapter : Adapter or Path, optional
        What to start with.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``.
    cache : EmbeddingCache, optional
        Where embeddings are kept; by default one in RAM.

    Attributes
    ----------
    visible : (row0, col0, row1, col1) or None
        What of the image is on the screen; None: all of it.
    swap_seconds : float
        For how long the last swap or rollback kept predictions waiting.
    predict_seconds : float
        How long the last prediction took; 0 before the first.
    models : KeptModels
        The models that answered lately.
    """

    def __init__(
        self,
        base: str = DEFAULT_MODEL,
        adapter: Adapter | Path | None = None,
        device: str = "auto",
        cache: EmbeddingCache | None = None,
    ) -> None:
        self._base = base
        self.cache = EmbeddingCache() if cache is None else cache
        self.visible: Box | None = None
        self.swap_seconds = 0.0
        self.predict_seconds = 0.0
        self.models = KeptModels(device)
        self._start_with = adapter
        self._state: _State | None = None
        self._previous: Model | None = None
        self._last: Region | None = None
        self._change = threading.RLock()  # one load, new image, swap or rollback at a time

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
                self._state = _State(self.models.get(self._base, self._start_with))

    def set_image(self, image: np.ndarray | Picture) -> None:
        """Make an image the one that is asked about, and encode the region in the middle of what is visible.

        Parameters
        ----------
        image : ndarray or Picture
            Gray or RGB(A), any number type (see :func:`naslora_trainer.images.to_rgb8`).
        """
        picture = image if isinstance(image, Picture) else picture_of(image)
        with self._change:
            self.load()
            model = self._loaded().model
            seeing = Seeing(model, picture, self.cache)
            seeing.encode(seeing.middle(self.visible, self._last))
            self._last, self._state = None, _State(model, seeing)

    def prepare(self) -> None:
        """Encode the region in the middle of what is visible, so that a click there is answered at once."""
        state = self._state
        if state is not None and state.seeing is not None:
            state.seeing.encode(state.seeing.middle(self.visible, self._last))

    def prefetch(self, picture: Picture) -> None:
        """Encode all of another image for later, unless it is so large that it will be seen in regions."""
        if picture.in_parts:
            return
        seeing = Seeing(self._loaded().model, picture, self.cache)
        seeing.encode(seeing.all)

    def predict(self, prompts: Prompts) -> Prediction:
        """Answer ``prompts``; ``version`` in the answer says which model it was.

        Parameters
        ----------
        prompts : Prompts
            In pixels of the image.

        Raises
        ------
        UserError
            A prompt lies outside the image.
        RuntimeError
            No image is set.
        ValueError
            The prompts are empty.
        """
        state = self._state
        if state is None or state.seeing is None:
            raise RuntimeError("no image is set")
        started = time.perf_counter()
        found, self._last = state.seeing.ask(prompts, self.visible, self._last)
        self.predict_seconds = time.perf_counter() - started
        return found

    def predict_on(self, picture: Picture, prompts: Prompts) -> Prediction:
        """Answer ``prompts`` on another image than the one that is set, at the same zoom.

        Raises
        ------
        UserError
            A prompt lies outside the image.
        ValueError
            The prompts are empty.
        """
        return Seeing(self._loaded().model, picture, self.cache).ask(prompts, self.visible, None)[0]

    def look(self, picture: Picture) -> Look:
        """Return what the model sees of a whole image: encoded now, or taken from the cache.

        Of a large image that is a reduced picture.
        """
        model = self._loaded().model
        seeing = Seeing(model, picture, self.cache)
        predictor, identity = seeing.predictor(seeing.all), (model.version, model.key)
        if model.head is None or model.adapter is None:
            return Look(predictor, model.learned, identity)
        rgb = picture.rgb8(seeing.all.window, MOST_SEEN)
        return Look(predictor, model.learned, identity, model.head, rgb, model.adapter.one_object)

    def swap(self, adapter: Adapter | Path | None, base: str = "") -> str:
        """Change to another model and return the new version.

        The new model is built and encodes what is on the screen beside the old one, which answers meanwhile. One that
        answered lately is still there, and is bit by bit what it was.

        Parameters
        ----------
        adapter : Adapter or Path, optional
            It answers with the base that it belongs to; None: a base alone.
        base : str
            Which base, for None; by default that of the model in use.

        Raises
        ------
        UserError
            The file is damaged, or the base model is not the one it belongs to or not on this computer; the old model
            stays.
        """
        with self._change:
            self.load()
            old = self._loaded().model
            self._change_to(self.models.get(base or self.base, adapter))
            self._previous = old
            return self.version

    def rollback(self) -> str:
        """Change back to the model before the last swap, bit by bit the same, and return its version.

        A second rollback undoes the first.

        Raises
        ------
        RuntimeError
            Nothing was swapped yet.
        """
        with self._change:
            old, now = self._previous, self._loaded().model
            if old is None:
                raise RuntimeError("there is no earlier model")
            self._change_to(old)
            self._previous = now
            return old.version

    @property
    def is_ready(self) -> bool:
        """True when a model is loaded and an image encoded."""
        return self._state is not None and self._state.seeing is not None

    @property
    def setting(self) -> object:
        """What answers: another object after every new image, swap and rollback."""
        return self._state

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """Rows and columns of the image."""
        state = self._state
        return None if state is None or state.seeing is None else state.seeing.picture.shape

    @property
    def can_rollback(self) -> bool:
        """True after a swap."""
        return self._previous is not None

    @property
    def base(self) -> str:
        """Id of the base of the model in use."""
        return self._base if self._state is None else self._state.model.base

    @property
    def version(self) -> str:
        """The model in use: the base id, with ``+`` and the adapter's id if there is one."""
        return self.base if self._state is None else self._state.model.version

    @property
    def identity(self) -> tuple[str, str]:
        """The version of the model in use, and the fingerprint of its encoder: all that its answers depend on."""
        model = self._loaded().model
        return model.version, model.key

    @property
    def adapter(self) -> Adapter | None:
        """The adapter in use."""
        return None if self._state is None else self._state.model.adapter

    @property
    def learned(self) -> tuple[str, ...]:
        """What the model in use was trained on (see :func:`naslora_trainer.models.learned_prompts`)."""
        return self._loaded().model.learned

    @property
    def device(self) -> str:
        """Where the model in use computes, ``""`` while none is loaded; it never waits."""
        state = self._state
        return "" if state is None else str(state.model.sam.device)

    @property
    def model(self) -> Sam:
        """The network in use; it is loaded if need be, and must not be changed."""
        self.load()
        return self._loaded().model.sam

    def _loaded(self) -> _State:
        state = self._state
        if state is None:
            raise RuntimeError("the model is not loaded")
        return state

    def _change_to(self, model: Model) -> None:
        """Use another model, which first encodes what is on the screen."""
        before = self._loaded().seeing
        seeing = None if before is None else Seeing(model, before.picture, self.cache)
        if seeing is not None:
            seeing.encode(self._last or seeing.middle(self.visible, None))
        started = time.perf_counter()
        self._state = _State(model, seeing)
        self.swap_seconds = time.perf_counter() - started
