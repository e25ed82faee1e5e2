"""A base model that is another base with an adapter that is shipped."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import importlib.resources
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from segment_anything.modeling import Sam

from naslora_resources.registry import ModelEntry, models
from naslora_trainer.adapter import Adapter
from naslora_trainer.base import fingerprint, load_base, load_entry
from naslora_trainer.data import TrainingImage
from naslora_trainer.errors import UserError
from naslora_trainer.evaluate import evaluate
from naslora_trainer.examinee import Examinee
from naslora_trainer.merging import apply, merge
from naslora_trainer.models import build, learned_prompts

ENTRY = models()["litemedsam-click"]
SHIPPED = Path(str(importlib.resources.files("naslora_resources").joinpath(ENTRY.adapter)))


@pytest.fixture(scope="module")
def shipped() -> Adapter:
    return Adapter.load(SHIPPED)


@pytest.fixture
def random_adapter(random_adapter: Adapter, click_sam: Sam) -> Adapter:
    """A random adapter that was trained on this base."""
    meta = random_adapter.meta.model_copy(update={"base": ENTRY.id, "fingerprint": fingerprint(click_sam)})
    return dataclasses.replace(random_adapter, meta=meta)


def entry_with(path: Path) -> ModelEntry:
    """Return the entry as it would be registered with another adapter file."""
    data = path.read_bytes()
    return dataclasses.replace(ENTRY, adapter=str(path), size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def test_it_is_its_base_with_the_adapter_merged(click_sam: Sam, litemedsam: Sam, shipped: Adapter) -> None:
    state = merge(shipped, litemedsam.state_dict())
    assert all(torch.equal(state[name], tensor) for name, tensor in click_sam.state_dict().items())
    stock = copy.deepcopy(litemedsam)  # segment-anything's own Sam, without a layer of ours
    assert type(stock) is Sam and not stock.training
    stock.load_state_dict(click_sam.state_dict(), strict=True)
    assert {type(m) for m in click_sam.modules()} == {type(m) for m in litemedsam.modules()}


def test_merging_rounds_the_same_on_every_machine(litemedsam: Sam, shipped: Adapter) -> None:
    """Else an adapter of this base would be refused elsewhere: plain float32 sums in order, as numpy makes them."""
    layer = next(n for n in shipped.tensors if n.startswith("lora.") and n.endswith(".down")).removesuffix(".down")
    down, up = (shipped.tensors[f"{layer}.{part}"].float().numpy() for part in ("down", "up"))
    weight = f"image_encoder.{layer.removeprefix('lora.')}.weight"
    delta = np.zeros((len(up), down.shape[1]), np.float32)
    for i in range(len(down)):
        delta += up[:, i, None] * down[i]
    base = litemedsam.state_dict()
    assert np.array_equal(merge(shipped, base)[weight].numpy(), base[weight].numpy() + delta)


def test_it_has_a_fingerprint_of_its_own(click_sam: Sam, litemedsam: Sam) -> None:
    assert fingerprint(click_sam) != fingerprint(litemedsam)
    assert fingerprint(load_base(ENTRY.id)) == fingerprint(click_sam)


def test_it_understands_a_click(click_sam: Sam, litemedsam: Sam, nuclei: list[TrainingImage]) -> None:
    click, bare = (
        evaluate(Examinee(sam, learned), nuclei[:2])
        for sam, learned in ((click_sam, learned_prompts(ENTRY.id)), (litemedsam, ("point", "box")))
    )
    assert click["point"]["dice"][0] > max(0.5, 2 * bare["point"]["dice"][0])
    assert click["box"]["dice"] > 0.7


def test_it_has_learned_what_its_adapter_says(shipped: Adapter, random_adapter: Adapter) -> None:
    assert set(learned_prompts(ENTRY.id)) == set(shipped.meta.prompts) >= {"point", "box"}
    assert learned_prompts("litemedsam") == ("box",)
    assert learned_prompts("sam_vit_b") == ("point", "box", "multimask")
    assert learned_prompts("sam_vit_b", random_adapter) == random_adapter.meta.prompts


def test_a_missing_damaged_or_cut_adapter_is_refused(tmp_path: Path) -> None:
    data = SHIPPED.read_bytes()
    flipped = bytearray(data)
    flipped[-5] ^= 1
    for name, content, words in (
        ("gone", None, "missing or incomplete: .*gone.safetensors"),
        ("cut", data[:-100], "missing or incomplete: .*cut.safetensors"),
        ("flipped", bytes(flipped), "damaged or were changed: .*flipped.safetensors"),
    ):
        path = tmp_path / f"{name}.safetensors"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError, match=f"'litemedsam-click' are {words}") as refused:
            load_entry(dataclasses.replace(ENTRY, adapter=str(path)))
        assert refused.value.hint


def test_a_registered_adapter_of_another_kind_is_refused(tmp_path: Path, shipped: Adapter) -> None:
    """The right SHA-256, but of another base, with a branch, not finite, or not an adapter."""
    name = next(iter(shipped.tensors))
    layer = name.removeprefix("lora.").removesuffix(".down")
    meta = {"naslora": shipped.meta.model_dump_json()}
    foreign = dataclasses.replace(shipped, meta=shipped.meta.model_copy(update={"fingerprint": "0" * 64}))
    foreign.save(tmp_path / "foreign.safetensors")
    branch = {**shipped.tensors, f"branch.{layer}.kernel": torch.zeros(4, 4, 3, 3)}
    save_file(branch, tmp_path / "branch.safetensors", metadata=meta)
    broken = {**shipped.tensors, name: torch.full_like(shipped.tensors[name], torch.inf)}
    save_file(broken, tmp_path / "broken.safetensors", metadata=meta)
    (tmp_path / "nonsense.safetensors").write_bytes(b"nonsense" * 20)
    for bad, words in (
        ("foreign", "another base model"),
        ("branch", "keeps a spatial branch"),
        ("broken", "not finite"),
        ("nonsense", "damaged or not an adapter"),
    ):
        with pytest.raises(UserError, match=f"'litemedsam-click' cannot be put together.*{words}"):
            load_entry(entry_with(tmp_path / f"{bad}.safetensors"))


def test_an_adapter_belongs_to_the_base_it_was_trained_on(
    click_sam: Sam, litemedsam: Sam, random_adapter: Adapter
) -> None:
    """One of the default base merges into a stock state dict; it and its base do not take each other's adapters."""
    meta = random_adapter.meta.model_copy(update={"base": "litemedsam", "fingerprint": fingerprint(litemedsam)})
    plain = dataclasses.replace(random_adapter, meta=meta)
    assert build("litemedsam", plain)
    with pytest.raises(UserError, match=r"another base model \('litemedsam'\).*Switch to the base model 'litemedsam'"):
        build(ENTRY.id, plain)
    with pytest.raises(UserError, match=r"another base model \('litemedsam-click'\)"):
        build("litemedsam", random_adapter)
    stock = copy.deepcopy(litemedsam)
    stock.load_state_dict(merge(random_adapter), strict=True)
    assert fingerprint(stock) == fingerprint(apply(copy.deepcopy(click_sam), random_adapter))


def test_a_checkpoint_in_its_place_is_used_as_it_is(tmp_path: Path, click_sam: Sam, random_adapter: Adapter) -> None:
    state = merge(random_adapter, click_sam.state_dict())
    save_file(state, tmp_path / "mine.safetensors")
    assert fingerprint(load_base(checkpoint=tmp_path / "mine.safetensors")) == fingerprint(state)
