"""Models that answered lately, kept in memory so that they answer again at once, bit by bit the same."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from naslora_trainer.errors import UserError

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

    from naslora_trainer.adapter import Adapter
    from naslora_trainer.seed_head import SeedHead

#: So much memory may models take that do not answer now, in bytes: a dozen small ones.
KEPT_BYTES = 512 * 2**20
#: The one that answers and the one before are kept whatever they measure: the way back is always open.
FEWEST = 2


@dataclass(frozen=True, eq=False)
class Model:
    """A model that answers. ``key`` identifies the weights of its encoder."""

    base: str
    sam: Sam
    learned: tuple[str, ...]
    adapter: Adapter | None
    version: str
    key: str
    #: What finds objects by itself, if the adapter has learned that.
    head: SeedHead | None


class KeptModels:
    """Builds base + adapter, and keeps what was asked for last.

    Parameters
    ----------
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``.
    most_bytes : int
        How much memory they may take; the last two are kept all the same.
    """

    def __init__(self, device: str = "auto", most_bytes: int = KEPT_BYTES) -> None:
        self.most_bytes = most_bytes
        self._device = device
        self._kept: OrderedDict[str, Model] = OrderedDict()
        self._fingerprints: dict[str, str] = {}

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._kept)

    def get(self, base: str, adapter: Adapter | Path | None) -> Model:
        """Return base + ``adapter``; one that is kept is the very same object as before.

        Parameters
        ----------
        base : str
            Id of the base model; that of the adapter, where there is one, counts in its place.
        adapter : Adapter or Path, optional
            What to put on it.

        Raises
        ------
        UserError
            The base model or the adapter cannot be used, or the base would have to be downloaded first.
        """
        from naslora_trainer.adapter import Adapter

        chosen = Adapter.load(adapter) if isinstance(adapter, Path) else adapter
        base = base if chosen is None else chosen.meta.base
        version = base if chosen is None else f"{base}+{chosen.id}"
        model = self._kept.get(version)
        if model is None or not _same(model.adapter, chosen):
            model = self._build(base, chosen, version)
        self._kept[version] = model
        self._kept.move_to_end(version)
        while len(self._kept) > FEWEST and sum(map(_bytes_of, self._kept.values())) > self.most_bytes:
            self._kept.popitem(last=False)
        return model

    def base_fingerprint(self, base: str) -> str:
        """Return the fingerprint of a base model (see :func:`naslora_trainer.base.fingerprint`).

        Raises
        ------
        UserError
            The base model cannot be used, or would have to be downloaded first.
        """
        if base not in self._fingerprints:
            from naslora_trainer.base import fingerprint, load_base

            _check_here(base)
            kept = self._kept.get(base)
            self._fingerprints[base] = fingerprint(load_base(base) if kept is None else kept.sam)
        return self._fingerprints[base]

    def _build(self, base: str, adapter: Adapter | None, version: str) -> Model:
        from naslora_trainer.base import fingerprint
        from naslora_trainer.devices import pick_device
        from naslora_trainer.models import build, learned_prompts
        from naslora_trainer.seed_head import head_of

        _check_here(base)
        sam = build(base, adapter, pick_device(self._device))
        key = fingerprint(sam.image_encoder.state_dict())
        head = head_of(adapter.tensors, adapter.meta.classes) if adapter else None
        return Model(
            base, sam, learned_prompts(base, adapter), adapter, version, key, head.to(sam.device) if head else None
        )


def _check_here(base: str) -> None:
    """Refuse a base model that is not on this computer: nobody asked for a large download."""
    from naslora_trainer.base import entry_of, is_here

    if not is_here(entry_of(base)):
        raise UserError(
            f"The base model '{base}' is not on this computer yet.", "Choose it in Models… > Base model…, once."
        )


def _same(one: Adapter | None, other: Adapter | None) -> bool:
    """Return whether two adapters of the same id are the same; what they say of themselves is not part of the id."""
    return one is other or (one is not None and other is not None and one.meta == other.meta)


def _bytes_of(model: Model) -> int:
    return sum(tensor.nbytes for tensor in model.sam.state_dict().values())
