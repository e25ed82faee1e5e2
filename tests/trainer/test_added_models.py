"""Base models that a person adds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam

from naslora_resources.registry import DEFAULT_MODEL, added_file, models
from naslora_trainer.added_models import add_model, architecture_of, remove_model
from naslora_trainer.base import fingerprint, is_here, load_base
from naslora_trainer.errors import UserError


@pytest.fixture
def checkpoint(config_folder: Path, litemedsam: Sam, tmp_path: Path) -> Path:
    """Weights of one's own: those of LiteMedSAM, with one of them changed."""
    state = litemedsam.state_dict() | {"mask_decoder.iou_token.weight": torch.ones(1, 256)}
    path = tmp_path / "My cells (v2).pth"
    torch.save({"model": state}, path)
    return path


def test_a_checkpoint_becomes_a_base_model_like_the_others(checkpoint: Path, litemedsam: Sam) -> None:
    entry = add_model(checkpoint, prompts=("box",))
    assert entry.id == "my-cells-v2" and entry.architecture == "tiny_vit_256" and entry.pixel_std == (255.0,) * 3
    assert models()[entry.id] == entry and is_here(entry) and next(iter(models())) == DEFAULT_MODEL
    mine = load_base(entry.id)
    assert (mine.mask_decoder.iou_token.weight == 1).all() and fingerprint(mine) != fingerprint(litemedsam)
    add_model(checkpoint, "second")
    remove_model(entry.id)
    assert list(models())[-1] == "second" and checkpoint.is_file()
    with pytest.raises(UserError, match="was added"):
        remove_model("litemedsam")


def test_a_file_that_changed_is_not_used(checkpoint: Path) -> None:
    entry = add_model(checkpoint, "mine")
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)
    with pytest.raises(UserError, match=f"'mine' are damaged or were changed.*{checkpoint.name[:8]}"):
        load_base("mine")
    checkpoint.unlink()
    with pytest.raises(UserError, match="missing"):
        load_base(entry.id)


@pytest.mark.parametrize(
    ("name", "prompts", "said"),
    [("../x", ("box",), "cannot be the name"), ("litemedsam", ("box",), "already"), ("x", (), "which prompts"),
     ("x", ("text",), "which prompts")],
)  # fmt: skip
def test_what_cannot_be_added_is_said(checkpoint: Path, name: str, prompts: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        add_model(checkpoint, name, prompts)
    assert not added_file().exists()


def test_the_architecture_is_found_by_the_widths_of_the_encoder(tmp_path: Path) -> None:
    for name in ("vit_b", "vit_l", "vit_h"):
        with torch.device("meta"):
            state = sam_model_registry[name]().state_dict()
        assert architecture_of(state, "x") == name
    with pytest.raises(UserError, match="other.pth is no model of a known architecture"):
        architecture_of({"a": torch.zeros(3)}, "other.pth")


@pytest.mark.parametrize(
    "field",
    [
        {"sha256": "x"}, {"source": "download"}, {"file": "relative.pth"}, {"prompts": ["text"]}, {"prompts": []},
        {"image_size": 100_000}, {"pixel_std": [0.0, 1.0, 1.0]}, {"pixel_mean": [float("nan")] * 3}, {"title": 3},
        {"architecture": "vit_x"}, {"unknown": 1}, {"size_bytes": "1"},
    ],
    ids=str,
)  # fmt: skip
def test_a_list_that_was_edited_badly_harms_nothing_else(config_folder: Path, field: dict[str, object]) -> None:
    import tomli_w

    sound = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(models()["litemedsam"]).items()}
    sound |= {"source": "file", "package": "", "file": str(config_folder / "x.pth")}
    del sound["id"]
    config_folder.mkdir()
    added_file().write_text(tomli_w.dumps({"good": sound, "bad": sound | field, "litemedsam": sound, "No": sound}))
    assert set(models()) - {"good"} == set(models()) - {"good", "bad", "No"} and "good" in models()
    assert models()["litemedsam"].source == "package"


@pytest.mark.parametrize("content", [b"\xff", b"[", b"a = 1", b""])
def test_a_list_that_is_none_is_ignored(config_folder: Path, content: bytes) -> None:
    config_folder.mkdir()
    added_file().write_bytes(content)
    assert next(iter(models())) == DEFAULT_MODEL and "a" not in models()
