"""A model that is asked about the same images for several reasons, and encodes each of them once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam
from torch import Tensor

from .cache import PrefixCache
from .data import TrainingImage, pixels_id
from .frames import input_of

#: Embeddings beyond this are computed again, in bytes: one takes 4 MiB.
RAM_BYTES = 256 * 2**20


class Examinee:
    """A model in eval mode whose weights stay as they are.

    Parameters
    ----------
    sam : Sam
        The model.
    learned : sequence of str
        What it was trained on (see :func:`naslora_trainer.answer.answer`).
    seen : PrefixCache, optional
        Embeddings that it has computed before, in RAM of the processor.
    check_stop : callable
        Called before it encodes an image; may raise.
    encode : callable, optional
        Returns the embedding of an image faster than the encoder of the model does, to the bit the same.
    """

    def __init__(
        self,
        sam: Sam,
        learned: Sequence[str],
        seen: PrefixCache | None = None,
        check_stop: Callable[[], None] = lambda: None,
        encode: Callable[[TrainingImage], Tensor] | None = None,
    ) -> None:
        self.sam, self.learned = sam, tuple(learned)
        self._check_stop = check_stop
        self._encode = encode or (lambda image: sam.image_encoder(input_of(sam, image, 0)))
        self._seen = PrefixCache(RAM_BYTES) if seen is None else seen

    @torch.no_grad()
    def embedding(self, image: TrainingImage) -> Tensor:
        """Return the embedding (1, 256, h, w) of an image, on the device of the model."""

        def compute() -> Tensor:
            self._check_stop()
            return self._encode(image).cpu()

        return self._seen.get(pixels_id(image), compute).to(self.sam.device)

    def look(self, image: TrainingImage) -> SamPredictor:
        """Return segment-anything's predictor with an image set, to the bit as it sets it itself."""
        return encoded(self.sam, self.embedding(image), image.labels.shape)


def encoded(sam: Sam, features: Tensor, shape: tuple[int, ...]) -> SamPredictor:
    """Return segment-anything's predictor with an image set that was encoded before.

    Parameters
    ----------
    sam : Sam
        The model.
    features : Tensor
        (1, 256, h, w): what its image encoder returned.
    shape : (int, int)
        Rows and columns of the image, before it was scaled to the input of the model.
    """
    predictor = SamPredictor(sam)
    predictor.features = features.to(sam.device)
    predictor.original_size = shape
    predictor.input_size = predictor.transform.get_preprocess_shape(*shape, sam.image_encoder.img_size)
    predictor.is_image_set = True
    return predictor
