"""An adapter in the format of PEFT, for use without this package."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from .adapter import Adapter, AdapterMeta
from .errors import UserError
from .files import not_saved, write_bytes, write_json
from .merging import merge

#: What PEFT puts before the name of a layer.
_PREFIX = "base_model.model."
#: PEFT's own name for a LoRA adapter that adapts no layer (``peft.utils.constants.DUMMY_TARGET_MODULES``).
_NO_TARGETS = "dummy-target-modules"


def export_peft(adapter: Adapter, folder: Path | str, base: Mapping[str, Tensor] | None = None) -> None:
    """Write ``adapter`` as a LoRA adapter of PEFT (0.14 or newer) for the stock ``segment_anything`` Sam.

    ``peft.PeftModel.from_pretrained(sam, folder)`` on the base model gives the answers of :func:`merging.apply`.

    - Low-rank updates become ``lora_A`` (``We``) and ``lora_B`` (``s * Wd``; so ``lora_alpha`` is the rank), of
      convolutions as well. Ranks that differ from most are in ``rank_pattern``.
    - The new bias of a layer that has a low-rank update becomes the bias of its ``lora_B`` (``lora_bias``).
    - Other layers that changed are stored whole, as ``modules_to_save``: tokens, norms, all of a mask decoder that was
      trained in full.

    Parameters
    ----------
    adapter : Adapter
        Without a branch.
    folder : Path or str
        Gets ``adapter_config.json``, ``adapter_model.safetensors`` and ``README.md``; made if it is not there.
    base : mapping of str to Tensor, optional
        State dict of the base; by default it is loaded by the adapter's base id.

    Raises
    ------
    UserError
        The adapter keeps a branch, does not fit the base or is not finite; or the files cannot be written.
    """
    if adapter.has_branch:
        raise UserError(
            "This adapter keeps a spatial branch, which LoRA cannot hold.",
            "Use the adapter file itself, or fine-tune again with a larger fold tolerance.",
        )
    config, tensors = _converted(adapter, merge(adapter, base))
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_saved(folder, error) from error
    metadata = {"format": "pt", "naslora": adapter.meta.model_dump_json()}
    write_bytes(folder / "adapter_model.safetensors", save(tensors, metadata))
    write_json(folder / "adapter_config.json", config)
    write_bytes(folder / "README.md", _readme(adapter.meta).encode())


def _converted(adapter: Adapter, merged: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return PEFT's config and tensors; ``merged`` is the state dict of base + adapter."""
    low, differences = adapter.low_rank(), adapter.differences()
    biases = {path: differences.pop(f"{path}.bias") for path in low if f"{path}.bias" in differences}
    # PEFT gives all its lora_B a bias or none, and cannot merge one into a layer that has none.
    without = {path for path in low if biases and f"{path}.bias" not in merged}
    whole = sorted(without | {name.rpartition(".")[0] for name in differences})
    low = {path: pair for path, pair in low.items() if path not in whole}
    tensors = {f"{_PREFIX}{name}": merged[name] for name in merged if name.rpartition(".")[0] in whole}
    for path, (down, up) in low.items():
        tensors[f"{_PREFIX}{path}.lora_A.weight"] = down
        tensors[f"{_PREFIX}{path}.lora_B.weight"] = up.reshape(up.shape + (1,) * (down.ndim - 2))
        if biases:
            tensors[f"{_PREFIX}{path}.lora_B.bias"] = biases.get(path, torch.zeros(len(up), dtype=up.dtype))
    config = _config({path: len(down) for path, (down, _) in low.items()}, whole, adapter.meta)
    if biases:
        config["lora_bias"] = True
    return config, {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _config(ranks: Mapping[str, int], whole: list[str], meta: AdapterMeta) -> dict[str, Any]:
    """Return the content of ``adapter_config.json``; only full paths are named, so that nothing else is adapted."""
    ((rank, _),) = Counter(ranks.values()).most_common(1) or [(meta.rank, 0)]
    others = {re.escape(path): other for path, other in ranks.items() if other != rank}
    return {
        "peft_type": "LORA",
        "task_type": None,
        # PEFT looks this name up on the Hub; which base it is stands in README.md.
        "base_model_name_or_path": None,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": rank,
        "rank_pattern": others,
        "alpha_pattern": others,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(ranks) or _NO_TARGETS,
        "modules_to_save": whole or None,
    }


def _readme(meta: AdapterMeta) -> str:
    return f"""# LoRA adapter for {meta.base}

Made by naslora-napari ({meta.method}, {meta.created}) for PEFT 0.14 or newer.

```python
from peft import PeftModel

# sam: the base model '{meta.base}' as a segment_anything Sam, for example naslora_trainer.load_base("{meta.base}")
sam = PeftModel.from_pretrained(sam, "this folder").merge_and_unload()
```

Fingerprint of the base: `{meta.fingerprint}`. On another base the adapter loads as well, but its answers mean nothing.
"""
