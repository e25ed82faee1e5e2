"""The whole loop on the real model, small: few steps, few prompts, quarter tiles."""

from __future__ import annotations

import base64
import copy
import io
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from segment_anything.modeling import Sam

from naslora_trainer import gradients, optimisers
from naslora_trainer.adapter import Adapter
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage
from naslora_trainer.errors import UserError
from naslora_trainer.merging import apply, merge
from naslora_trainer.train import finetune as finetune_anew

from ..conftest import PRECISION

Tune = Callable[..., Adapter | None]


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All tests share the features of the frozen beginning, as a later training does."""
    return tmp_path_factory.mktemp("features")


@pytest.fixture(scope="module")
def finetune(features: Path) -> Tune:
    return partial(finetune_anew, scratch=features)


def tiny(**values: Any) -> FineTuneConfig:
    settings = {
        "seed_head": False,
        "interpolate": False,
        "shown_images": 0,
        "steps": 6,
        "prompts_per_step": 2,
        "blocks": 2,
        "rank": 2,
        "fold_tolerance": 1.0,
        "alpha_every": 2,
    }
    return FineTuneConfig.checked(**settings | {"cache_mb": 0, "precision": PRECISION} | values)


@pytest.fixture(scope="module")
def trained(finetune: Tune, nuclei: list[TrainingImage]) -> tuple[Adapter, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    adapter = finetune(tiny(), nuclei, events.append)
    assert adapter is not None
    return adapter, events


def test_the_events_tell_the_story(trained: tuple[Adapter, list[dict[str, Any]]]) -> None:
    _, events = trained
    assert events[0]["event"] == "started" and set(events[0]["objects"]) == {"train", "validation"}
    stages = [e["stage"] for e in events if e["event"] == "progress"]
    assert [s for i, s in enumerate(stages) if i == 0 or stages[i - 1] != s] == [
        "prepare", "warm-up", "search", "settle", "consolidate", "check",
    ]  # fmt: skip
    losses = [e["loss"] for e in events if e["event"] == "progress" and e["loss"] is not None]
    assert len(losses) == 6 and np.isfinite(losses).all()
    assert {0, 6} <= {e["step"] for e in events if e["event"] == "metric"}


def test_the_report_says_what_was_folded_and_gained(trained: tuple[Adapter, list[dict[str, Any]]]) -> None:
    adapter, _ = trained
    report = adapter.meta.report
    assert set(report["validation"]) == {"click", "box"} and isinstance(report["better"], bool) and report["reason"]
    assert len(report["fold"]["layers"]) == 4 and report["fold"]["kind"] == "consolidated"
    assert all(0 <= layer["residual"] < 1 for layer in report["fold"]["layers"].values())
    assert report["train_s"] > 0 and report["peak_mb"] > 100
    assert report["seen_px"] == 64  # quarter tiles
    assert all(sum(p.values()) == pytest.approx(1) for p in adapter.meta.architecture.values())


def test_it_merges_into_the_stock_model_and_changes_it(
    trained: tuple[Adapter, list[dict[str, Any]]], base_sam: Sam
) -> None:
    adapter, _ = trained
    assert not adapter.has_branch
    state = merge(adapter, base_sam.state_dict())
    changed = [name for name, tensor in state.items() if not torch.equal(tensor, base_sam.state_dict()[name])]
    assert any(name.startswith("image_encoder.layers.3") for name in changed)
    assert any(name.startswith("mask_decoder") for name in changed)
    assert not any(name.startswith(("prompt_encoder", "image_encoder.layers.0")) for name in changed)
    copy.deepcopy(base_sam).load_state_dict(state, strict=True)


def test_the_same_seed_gives_the_same_adapter(
    finetune: Tune, trained: tuple[Adapter, list[dict[str, Any]]], nuclei: list[TrainingImage]
) -> None:
    again = finetune(tiny(), nuclei)
    assert again is not None and again.id == trained[0].id


@pytest.mark.parametrize(
    "method",
    ["lora", "conv-lora", "conv-lora-experts", "nas-pc-lora", "decoder-only"],
)
def test_the_baselines_share_the_loop(finetune: Tune, method: Any, nuclei: list[TrainingImage], base_sam: Sam) -> None:
    adapter = finetune(tiny(method=method, steps=5), [replace(nuclei[0], step=2), nuclei[1]])
    assert adapter is not None and adapter.meta.method == method
    assert adapter.meta.report["seen_px"] == 128  # the larger one: a quarter tile that shows twice as much
    layers = [name for name in adapter.tensors if name.startswith("lora.")]
    assert bool(layers) == (method != "decoder-only")
    apply(copy.deepcopy(base_sam), adapter)


def test_a_fold_that_costs_too_much_keeps_the_branch(
    finetune: Tune, nuclei: list[TrainingImage], base_sam: Sam
) -> None:
    """Recovery steps that wreck the model: the one of before them is kept, of which nothing helps either."""
    events: list[dict[str, Any]] = []
    shares = {"warmup_share": 0.2, "search_share": 0.4, "settle_share": 0.2}
    config = tiny(steps=5, fold_tolerance=0.0, decoder_lr=1.0, interpolate=True, **shares)
    adapter = finetune(config, nuclei, events.append)
    assert adapter is not None
    fold = adapter.meta.report["fold"]
    lost = max(fold["before"][kind] - fold["after"][kind] for kind in fold["before"])
    assert (fold["kind"] == "branch") == (lost > 0) == adapter.has_branch
    if adapter.has_branch:
        report = adapter.meta.report
        assert report["interpolation"]["1.0"] == fold["before"]
        assert report["share"] == 0 and "made it worse" in report["reason"]
        assert all(one["after"] == one["before"] for one in report["validation"].values())
        assert any("branch is kept" in e["message"] for e in events if e["event"] == "warning")
    apply(copy.deepcopy(base_sam), adapter)


@pytest.mark.parametrize("stage", ["prepare", "search", "consolidate"])
def test_stopping_gives_nothing(finetune: Tune, stage: str, nuclei: list[TrainingImage]) -> None:
    seen: list[str] = []
    result = finetune(tiny(), nuclei[:1], lambda e: seen.append(e.get("stage", "")), lambda: stage in seen)
    assert result is None and seen[-1] == stage


def break_the_loss(monkeypatch: pytest.MonkeyPatch, first: int, times: int) -> None:
    """Fault injection: the real loss, not a number for ``times`` calls from the call ``first`` on."""
    real, calls = gradients.prompted_loss, iter(range(10**6))

    def broken(*args: Any) -> torch.Tensor:
        return real(*args) * (torch.nan if first <= next(calls) < first + times else 1.0)

    monkeypatch.setattr(gradients, "prompted_loss", broken)


def test_a_step_that_is_not_finite_is_skipped(
    finetune: Tune, nuclei: list[TrainingImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_the_loss(monkeypatch, 0, 2)
    events: list[dict[str, Any]] = []
    adapter = finetune(tiny(method="lora", steps=5), nuclei[:1], events.append)
    assert adapter is not None and all(torch.isfinite(t).all() for t in adapter.tensors.values())
    assert sum("was skipped" in e["message"] for e in events if e["event"] == "warning") == 2


def test_a_loss_that_is_never_finite_ends_with_a_sentence(
    finetune: Tune, nuclei: list[TrainingImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_the_loss(monkeypatch, 0, 1000)
    with pytest.raises(UserError, match="does not converge"):
        finetune(tiny(steps=20, prompts_per_step=1), nuclei[:1])


def test_a_loss_that_stays_broken_ends_with_what_was_learned(
    finetune: Tune, nuclei: list[TrainingImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps after the third are broken: what comes out is what three steps give, folded."""
    break_the_loss(monkeypatch, 3, 1000)
    events: list[dict[str, Any]] = []
    config = tiny(method="conv-lora", correction_share=0.0, steps=50)
    adapter = finetune(config, nuclei[:1], events.append)
    assert adapter is not None and all(torch.isfinite(t).all() for t in adapter.tensors.values())
    assert adapter.meta.report["steps"] == 3 + optimisers.MOST_SKIPPED - 1
    assert "ended after step" in [e["message"] for e in events if e["event"] == "warning"][-1]
    assert any(t.abs().max() > 0 for name, t in adapter.tensors.items() if name.endswith(".up"))


def test_images_that_cannot_teach_do_no_harm(finetune: Tune, nuclei: list[TrainingImage]) -> None:
    """One pixel, no objects, an object of one pixel, one flat colour: beside good images they are only left out."""
    dot = np.zeros((64, 64), np.int32)
    dot[3, 3] = 1
    strange = [
        TrainingImage("pixel", np.zeros((1, 1, 3), np.uint8), np.ones((1, 1), np.int32), True),
        TrainingImage("empty", nuclei[0].image, np.zeros((64, 64), np.int32), True),
        TrainingImage("dot", nuclei[1].image, dot, False),
        TrainingImage("flat", np.full((64, 64, 3), 255, np.uint8), nuclei[2].labels, False),
    ]
    adapter = finetune(tiny(method="lora", steps=5), [*strange, *nuclei])
    assert adapter is not None and all(torch.isfinite(t).all() for t in adapter.tensors.values())


def test_no_objects_and_one_object_are_a_sentence(finetune: Tune, nuclei: list[TrainingImage]) -> None:
    empty = np.zeros((64, 64), np.int32)
    with pytest.raises(UserError, match="no labelled objects"):
        finetune(tiny(), [replace(nuclei[0], labels=empty)])
    empty[5:20, 5:20] = 1
    with pytest.raises(UserError, match="only 1 labelled object"):
        finetune(tiny(), [replace(nuclei[0], labels=empty)])


def test_a_box_trained_base_can_be_taught_three_masks(
    finetune: Tune, nuclei: list[TrainingImage], litemedsam: Sam
) -> None:
    """A lone click is then answered by the best of three, and the file says so."""
    adapter = finetune(tiny(method="decoder-only", steps=5, base="litemedsam", alternatives=True), nuclei)
    assert adapter is not None and set(adapter.meta.prompts) == {"box", "point", "multimask"}
    token = "decoder.mask_tokens.weight"
    assert (adapter.tensors[token][1:].abs().amax(dim=1) > 0).any()
    plain = finetune(tiny(method="decoder-only", steps=5, base="litemedsam", box_share=0.0), nuclei)
    assert plain is not None and set(plain.meta.prompts) == {"box", "point"}


def test_what_is_shown_while_it_trains(finetune: Tune, nuclei: list[TrainingImage]) -> None:
    events: list[dict[str, Any]] = []
    adapter = finetune(tiny(steps=5, shown_images=2), nuclei, events.append)
    assert adapter is not None
    told = {kind: [e for e in events if e["event"] == kind] for kind in ("sights", "architecture", "comparison")}
    first, last = told["sights"][0], told["sights"][-1]
    assert (first["step"], last["step"]) == (1, 5) and 1 <= len(first["pictures"]) <= 2
    size = (224, 224)
    for picture in first["pictures"]:
        assert max(Image.open(io.BytesIO(base64.b64decode(picture["jpeg"]))).size) == size[0]
    assert first["pictures"][0]["jpeg"] != last["pictures"][0]["jpeg"]
    assert told["architecture"] and np.allclose(
        [sum(row.values()) for row in told["architecture"][-1]["layers"].values()], 1, atol=1e-3
    )
    (comparison,) = told["comparison"]
    assert comparison["validation"] == adapter.meta.report["validation"]
    lost = [case["after"] - case["before"] for case in comparison["cases"]]
    assert lost == sorted(lost) and len(lost) == 3
    assert all(e["memory_mb"] > 50 for e in events if e["event"] == "progress")
