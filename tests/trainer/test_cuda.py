"""What only a CUDA GPU can show; left out where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from naslora_napari.demo.measure import sample_images
from naslora_trainer.adapter import Adapter
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage
from naslora_trainer.evaluate import evaluate
from naslora_trainer.examinee import Examinee
from naslora_trainer.models import build
from naslora_trainer.train import finetune

DEVICE = "cuda"
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")


@pytest.fixture(scope="module")
def tiles() -> list[TrainingImage]:
    """Four labelled sample tiles."""
    return sample_images("labelled")[:4]


def short(**values: Any) -> FineTuneConfig:
    settings = {"device": DEVICE, "steps": 10, "blocks": 2, "shown_images": 0, "cache_mb": 64, "fold_tolerance": 1.0}
    return FineTuneConfig.checked(**settings | values)


def losses(events: list[dict[str, Any]]) -> list[float]:
    return [e["loss"] for e in events if e["event"] == "progress" and e["loss"] is not None]


@pytest.mark.parametrize("method", ["nas-lora", "nas-pc-lora", "lora", "conv-lora-experts", "decoder-only"])
def test_what_a_gpu_trains_answers_the_same_on_a_processor(method: str, tiles: list[TrainingImage]) -> None:
    events: list[dict[str, Any]] = []
    adapter = finetune(short(method=method), tiles, events.append)
    assert adapter is not None and adapter.meta.report["device"] == DEVICE
    assert len(losses(events)) == 10 and np.isfinite(losses(events)).all() and adapter.meta.report["peak_mb"] > 0
    on_gpu, on_cpu = (
        evaluate(Examinee(build(adapter.meta.base, adapter, device), adapter.meta.prompts), tiles[:1], max_objects=4)
        for device in (DEVICE, "cpu")
    )
    assert on_gpu["point"]["dice"] == pytest.approx(on_cpu["point"]["dice"], abs=0.01)
    assert on_gpu["box"]["dice"] == pytest.approx(on_cpu["box"]["dice"], abs=0.01)


def test_the_loss_of_the_first_step_is_that_of_a_processor(tiles: list[TrainingImage]) -> None:
    first = []
    for device in (DEVICE, "cpu"):
        events: list[dict[str, Any]] = []
        finetune(short(device=device, precision="float32", steps=5, seed_head=False), tiles, events.append)
        first.append(losses(events)[0])
    assert first[0] == pytest.approx(first[1], rel=1e-3)


def test_a_training_that_was_stopped_goes_on(tiles: list[TrainingImage], tmp_path: Path) -> None:
    config, checkpoint = short(seed_head=False, precision="float32"), tmp_path / "checkpoint"
    whole: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    finetune(config, tiles, whole.append)
    assert finetune(config, tiles, parts.append, lambda: len(losses(parts)) >= 6, checkpoint=checkpoint) is None
    assert isinstance(finetune(config, tiles, parts.append, checkpoint=checkpoint), Adapter)
    assert losses(parts) == pytest.approx(losses(whole), rel=0.05)  # atomic additions differ in order


def test_memory_that_really_runs_out_makes_the_parts_smaller(tiles: list[TrainingImage]) -> None:
    def peak(prompts: int, events: list[dict[str, Any]]) -> float:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        finetune(short(prompts_per_step=prompts, seed_head=False, steps=5, precision="float32"), tiles, events.append)
        return torch.cuda.max_memory_reserved()

    peak(12, [])  # the first time takes what is kept for good
    little, much = peak(1, []), peak(12, [])
    assert much > little * 1.3
    events: list[dict[str, Any]] = []
    torch.cuda.set_per_process_memory_fraction(
        (0.75 * little + 0.25 * much) / torch.cuda.get_device_properties(0).total_memory
    )
    try:
        peak(12, events)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert any("Memory ran out" in e["message"] for e in events if e["event"] == "warning")
    assert len(losses(events)) == 5
