"""The exported folder, read by PEFT itself, against the merge."""

from __future__ import annotations

import copy
import dataclasses
import json
import warnings
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from peft.utils.other import ModulesToSaveWrapper
from safetensors.torch import load_file
from segment_anything.modeling import Sam
from torch import Tensor, nn

from naslora_resources.registry import DEFAULT_MODEL
from naslora_trainer.adapter import Adapter, AdapterMeta
from naslora_trainer.base import fingerprint
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.decoder_update import DecoderUpdate
from naslora_trainer.errors import UserError
from naslora_trainer.layers import AdaptedConv2d
from naslora_trainer.merging import apply, merge
from naslora_trainer.peft_export import export_peft
from naslora_trainer.targets import inject


@pytest.fixture
def sams(small_sam: Sam, base_sam: Sam) -> dict[str, Sam]:
    """LiteMedSAM's architecture, and a small Sam with segment-anything's own encoder."""
    return {"vit": small_sam, "tiny_vit": copy.deepcopy(base_sam)}


@torch.no_grad()
def trained(sam: Sam, decoder_rank: int | None, **settings: object) -> Adapter:
    """What a training of ``sam`` with these settings leaves, with random values."""
    config, copied = FineTuneConfig.checked(method="lora", **settings), copy.deepcopy(sam)
    layers = inject(copied.image_encoder, config) if config.blocks else {}
    update = DecoderUpdate(copied.mask_decoder, decoder_rank)
    generator = torch.Generator().manual_seed(0)
    for parameter in (*(layer.up for layer in layers.values()), *update.parameters()):
        parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.02)
    tensors = update.tensors()
    for path, layer in layers.items():
        tensors[f"lora.{path}.up"] = layer.output()
        tensors[f"lora.{path}.down"] = layer.kernel() if isinstance(layer, AdaptedConv2d) else layer.down
    meta = AdapterMeta(base=DEFAULT_MODEL, fingerprint=fingerprint(sam), method="lora", rank=config.rank)
    return Adapter({name: tensor.detach().clone() for name, tensor in tensors.items()}, meta)


@torch.no_grad()
def answers(sam: Sam) -> list[Tensor]:
    """The embedding of an image, and logits and predicted IoU for two clicks on another embedding."""
    generator = torch.Generator().manual_seed(1)
    size, encoder = sam.image_encoder.img_size, sam.prompt_encoder
    image = torch.rand(1, 3, size, size, generator=generator)
    points = torch.rand(2, 1, 2, generator=generator) * size
    sparse, dense = encoder((points, torch.ones(2, 1)), None, None)
    embedding = torch.randn(1, *dense.shape[1:], generator=generator)
    decoded = sam.mask_decoder(
        image_embeddings=embedding, image_pe=encoder.get_dense_pe(), sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense, multimask_output=True,
    )  # fmt: skip
    return [sam.image_encoder(image), *decoded]


def loaded_by_peft(sam: Sam, folder: Path) -> PeftModel:
    """The model as PEFT makes it; a warning of PEFT, of a missing tensor for example, is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return PeftModel.from_pretrained(copy.deepcopy(sam), str(folder))


CASES = {
    "decoder in full": (None, {"blocks": 2, "targets": ("qkv", "proj")}),
    "low-rank decoder": (8, {"blocks": 1, "targets": ("qv", "mlp")}),
    "every layer, low-rank decoder": (3, {"blocks": 64, "targets": ("qkv", "proj", "mlp", "neck")}),
    "neck": (None, {"blocks": 1, "targets": ("neck",), "rank": 2}),
}


# PEFT itself takes the bias of a lora_B for a damaged matrix when it saves.
@pytest.mark.filterwarnings("ignore:Adapter 'default'.*invalid shape")
@pytest.mark.parametrize(
    ("kind", "case"),
    [
        *(("vit", case) for case in CASES),
        ("tiny_vit", "decoder in full"),
        ("tiny_vit", "every layer, low-rank decoder"),
    ],
)
def test_peft_gives_the_answers_of_the_merge(kind: str, case: str, sams: dict[str, Sam], tmp_path: Path) -> None:
    sam = sams[kind]
    rank, settings = CASES[case]
    adapter = trained(sam, rank, **settings)
    export_peft(adapter, tmp_path / "peft", sam.state_dict())
    model = loaded_by_peft(sam, tmp_path / "peft")
    wanted, base = answers(apply(copy.deepcopy(sam), adapter)), answers(sam)
    got = answers(model.get_base_model())
    for mine, theirs, before in zip(got, wanted, base, strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-5, rtol=1e-4)
        assert (theirs - before).abs().max() > 1e-2
    model.save_pretrained(str(tmp_path / "again"))
    mine, theirs = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("peft", "again"))
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
    stock = copy.deepcopy(sam)
    stock.load_state_dict(model.merge_and_unload().state_dict(), strict=True)
    torch.testing.assert_close(stock.state_dict(), merge(adapter, sam.state_dict()), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ["vit", "tiny_vit"])
def test_exactly_the_layers_of_the_adapter_are_adapted(kind: str, sams: dict[str, Sam], tmp_path: Path) -> None:
    """Each with its own rank, in an order that a name as a pattern would mix up."""
    sam = sams[kind]
    adapter = trained(sam, 3, blocks=3, targets=("qkv", "mlp"))
    odd = next(iter(name for name in adapter.tensors if name.startswith("lora."))).rpartition(".")[0]
    for half, axis in (("down", 0), ("up", 1)):
        adapter.tensors[f"{odd}.{half}"] = adapter.tensors[f"{odd}.{half}"].narrow(axis, 0, 1).clone()
    export_peft(adapter, tmp_path, sam.state_dict())
    model = loaded_by_peft(sam, tmp_path).get_base_model()
    ranks = {path: module.r["default"] for path, module in model.named_modules() if isinstance(module, LoraLayer)}
    assert ranks == {path: len(down) for path, (down, _) in adapter.low_rank().items()}
    assert set(ranks.values()) == {1, 3, 4}
    whole = {path for path, module in model.named_modules() if isinstance(module, ModulesToSaveWrapper)}
    changed = {name.rpartition(".")[0] for name in adapter.differences()}
    assert whole == changed - set(ranks) and "mask_decoder.iou_token" in whole


def test_a_decoder_alone_and_nothing_at_all_can_be_exported(sams: dict[str, Sam], tmp_path: Path) -> None:
    sam = sams["vit"]
    everything = trained(sam, None, blocks=1)
    for kind in ("decoder.", "nothing"):
        tensors = {name: tensor for name, tensor in everything.tensors.items() if name.startswith(kind)}
        adapter = dataclasses.replace(everything, tensors=tensors)
        export_peft(adapter, tmp_path / kind, sam.state_dict())
        got = answers(loaded_by_peft(sam, tmp_path / kind).get_base_model())
        torch.testing.assert_close(got, answers(apply(copy.deepcopy(sam), adapter)))


def test_peft_can_turn_the_adapter_off(sams: dict[str, Sam], tmp_path: Path) -> None:
    sam = sams["vit"]
    export_peft(trained(sam, 3, blocks=2), tmp_path, sam.state_dict())
    model = loaded_by_peft(sam, tmp_path)
    with model.disable_adapter():
        torch.testing.assert_close(answers(model.get_base_model()), answers(sam))


def test_a_convolution_without_bias_is_stored_whole_only_beside_biases(sams: dict[str, Sam], tmp_path: Path) -> None:
    sam = sams["vit"]
    for rank, whole in ((3, True), (None, False)):
        export_peft(trained(sam, rank, blocks=1, targets=("neck",)), tmp_path / str(rank), sam.state_dict())
        config = json.loads((tmp_path / str(rank) / "adapter_config.json").read_text())
        assert ("image_encoder.neck.0" in config["modules_to_save"]) == whole
        assert ("image_encoder.neck.0" in config["target_modules"]) != whole
        assert config.get("lora_bias", False) == whole


def test_what_peft_cannot_hold_is_refused(sams: dict[str, Sam], tmp_path: Path) -> None:
    sam = sams["vit"]
    adapter = trained(sam, None, blocks=1)
    name = next(name for name in adapter.tensors if name.endswith(".down"))
    for tensors, message in (
        ({"branch.x.kernel": torch.zeros(4, 4, 5, 5)}, "keeps a spatial branch"),
        ({name: adapter.tensors[name] * torch.nan}, "not finite"),
        ({"decoder.no_such": torch.zeros(1)}, "mask_decoder.no_such is missing"),
    ):
        broken = dataclasses.replace(adapter, tensors=adapter.tensors | tensors)
        with pytest.raises(UserError, match=message):
            export_peft(broken, tmp_path / "out", sam.state_dict())
        assert not (tmp_path / "out").exists()
    other = {name: tensor + 1 for name, tensor in sam.state_dict().items()}
    with pytest.raises(UserError, match="another base model"):
        export_peft(adapter, tmp_path / "out", other)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file could not be saved"):
        export_peft(adapter, tmp_path / "file", sam.state_dict())


def test_the_base_is_found_by_its_id(random_adapter: Adapter, base_sam: Sam, tmp_path: Path) -> None:
    export_peft(random_adapter, tmp_path)
    model = loaded_by_peft(base_sam, tmp_path).get_base_model()
    assert isinstance(model.mask_decoder.iou_token, ModulesToSaveWrapper)
    assert isinstance(model.mask_decoder.mask_tokens, nn.Embedding)
    assert random_adapter.meta.fingerprint in (tmp_path / "README.md").read_text()
