"""Models that answered lately, kept in memory so that they answer again at once, bit by bit the same."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

    from naslora_trainer.adapter import Adapter

#: So much memory may models take that do not answer now, in bytes: a dozen small ones.
KEPT_BYTES = 512 * 2**20
#: The one that answers and the one before are kept whatever they measure: the way back is always open.
FEWEST = 2


@dataclass(frozen=True, eq=False)
class Model:
    """A model that answers. ``key`` identifies the weights of its encoder."""

    sam: Sam
    learned: tuple[str, ...]
    adapter: Adapter | None
    version: str
    key: str


class KeptModels:
    """Builds base + adapter, and keeps what was asked for last.

    Parameters
    ----------
    base : str
        Id of the base model.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``.
    most_bytes : int
        How much memory they may take; the last two are kept all the same.
    """

    def __init__(self, base: str, device: str = "auto", most_bytes: int = KEPT_BYTES) -> None:
        self.base, self.most_bytes = base, most_bytes
        self._device = device
        self._kept: OrderedDict[str, Model] = OrderedDict()
        self._fingerprint = ""

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._kept)

    def get(self, adapter: Adapter | Path | None) -> Model:
        """Return base + ``adapter``; one that is kept is the very same object as before.

        Raises
        ------
        UserError
            The base model or the adapter cannot be used.
        """
        from naslora_trainer.adapter import Adapter

        chosen = Adapter.load(adapter) if isinstance(adapter, Path) else adapter
        version = self.base if chosen is None else f"{self.base}+{chosen.id}"
        model = self._kept.get(version)
        if model is None or not _same(model.adapter, chosen):
            model = self._build(chosen, version)
        self._kept[version] = model
        self._kept.move_to_end(version)
        while len(self._kept) > FEWEST and sum(map(_bytes_of, self._kept.values())) > self.most_bytes:
            self._kept.popitem(last=False)
        return model

    def base_fingerprint(self) -> str:
        """Return the fingerprint of the base model (see :func:`naslora_trainer.base.fingerprint`).

        Raises
        ------
        UserError
            The base model cannot be used.
        """
        if not self._fingerprint:
            from naslora_trainer.base import fingerprint, load_base

            kept = self._kept.get(self.base)
            self._fingerprint = fingerprint(load_base(self.base) if kept is None else kept.sam)
        return self._fingerprint

    def _build(self, adapter: Adapter | None, version: str) -> Model:
        from naslora_trainer.base import fingerprint
        from naslora_trainer.devices import pick_device
        from naslora_trainer.models import build, learned_prompts

        sam = build(self.base, adapter, pick_device(self._device))
        key = fingerprint(sam.image_encoder.state_dict())
        return Model(sam, learned_prompts(self.base, adapter), adapter, version, key)


def _same(one: Adapter | None, other: Adapter | None) -> bool:
    """Return whether two adapters of the same id are the same; what they say of themselves is not part of the id."""
    return one is other or (one is not None and other is not None and one.meta == other.meta)


def _bytes_of(model: Model) -> int:
    return sum(tensor.nbytes for tensor in model.sam.state_dict().values())
