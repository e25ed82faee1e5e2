"""Training that was interrupted ends as if it had not been; a file that cannot be trusted is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from naslora_trainer.checkpoint import VERSION, job_digest, load_checkpoint, save_checkpoint
from naslora_trainer.config import FineTuneConfig
from naslora_trainer.data import TrainingImage
from naslora_trainer.errors import UserError
from naslora_trainer.train import finetune

from ..conftest import PRECISION


def tiny(**values: Any) -> FineTuneConfig:
    settings = {
        "seed_head": False,
        "interpolate": False,
        "shown_images": 0,
        "steps": 10,
        "prompts_per_step": 2,
        "blocks": 1,
        "rank": 2,
        "fold_tolerance": 1.0,
        "cache_mb": 0,
    }
    return FineTuneConfig.checked(**settings | {"correction_share": 0.5, "precision": "float32"} | values)


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All tests share the features of the frozen beginning, as a later training does."""
    return tmp_path_factory.mktemp("features")


class StopAfter:
    """Asks to stop when so many steps are done."""

    def __init__(self, step: int) -> None:
        self.step, self.done = step, 0

    def event(self, event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            self.done = event["step"]

    def __call__(self) -> bool:
        return self.done >= self.step


@pytest.mark.parametrize(
    ("method", "steps", "stops", "precision"),
    [
        ("nas-lora", 10, (1, 5, 9), "float32"),
        ("conv-lora-experts", 5, (2,), PRECISION),
        ("decoder-only", 5, (2,), PRECISION),
    ],
    # 10 steps of nas-lora: warm-up to 2, search to 6, settle to 9, then the fold recovers.
)
def test_it_goes_on_bit_for_bit(
    method: str, steps: int, stops: tuple[int, ...], precision: str,
    nuclei: list[TrainingImage], features: Path, tmp_path: Path,
) -> None:  # fmt: skip
    path = tmp_path / "checkpoint"
    config = tiny(method=method, steps=steps, interpolate=method == "decoder-only", precision=precision)
    whole = finetune(config, nuclei, scratch=features)
    assert whole is not None
    for stop in stops:  # one run, interrupted again and again
        pause = StopAfter(stop)
        assert finetune(config, nuclei, pause.event, pause, features, path) is None
        assert path.exists() and pause.done == stop
    events: list[dict[str, Any]] = []
    again = finetune(config, nuclei, events.append, scratch=features, checkpoint=path)
    assert again is not None and again.id == whole.id
    for name, tensor in whole.tensors.items():
        assert torch.equal(again.tensors[name], tensor), name
    assert min(e["step"] for e in events if e["event"] == "progress" and e["loss"] is not None) == stops[-1] + 1
    for key in ("validation", "fold", "steps", "architecture_history"):
        assert again.meta.report[key] == whole.meta.report[key], key
    assert again.meta.architecture == whole.meta.architecture


def test_a_step_that_was_stopped_is_taken_anew_bit_for_bit(
    nuclei: list[TrainingImage], features: Path, tmp_path: Path
) -> None:
    """Stopped in the middle of a gradient."""
    path, config = tmp_path / "checkpoint", tiny(steps=6)
    whole = finetune(config, nuclei, scratch=features)
    assert whole is not None
    pause, asked = StopAfter(2), iter(range(2))

    def in_the_step() -> bool:
        return pause() and next(asked, None) is None

    assert finetune(config, nuclei, pause.event, in_the_step, features, path) is None
    assert path.exists() and pause.done == 2  # it was asked before the step, and twice in it
    again = finetune(config, nuclei, scratch=features, checkpoint=path)
    assert again is not None and whole.meta.report["validation"] == again.meta.report["validation"]
    assert again.id == whole.id and again.meta.architecture == whole.meta.architecture


def test_checkpoints_are_written_while_it_trains(nuclei: list[TrainingImage], features: Path, tmp_path: Path) -> None:
    path, seen = tmp_path / "checkpoint", []
    config = tiny(method="decoder-only", steps=5, checkpoint_every=2, precision=PRECISION)

    def note(event: dict[str, Any]) -> None:
        if path.exists():
            seen.append(load_checkpoint(path, job_digest(config, nuclei[:1]))["step"])

    assert finetune(config, nuclei[:1], note, scratch=features, checkpoint=path) is not None
    assert {2, 4} <= set(seen)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "run.checkpoint"
    save_checkpoint(path, "job", 3, {"now": torch.arange(40.0)}, {"weights": {}}, {"feed": [1, 2]})
    return path


def test_a_round_trip(saved: Path) -> None:
    state = load_checkpoint(saved, "job")
    assert state["step"] == 3 and state["rest"] == {"feed": [1, 2]}
    assert torch.equal(state["network"]["now"], torch.arange(40.0))
    assert torch.equal(state["random"], torch.get_rng_state())


def test_a_damaged_file_is_named(saved: Path) -> None:
    content = saved.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(100):
        broken = bytearray(content)
        broken[int(rng.integers(len(broken)))] ^= 1 << int(rng.integers(8))
        saved.write_bytes(bytes(broken[: int(rng.integers(len(broken)))]) if rng.random() < 0.3 else bytes(broken))
        with pytest.raises(UserError, match=r"run\.checkpoint is damaged"):
            load_checkpoint(saved, "job")
    saved.write_bytes(b"")
    with pytest.raises(UserError, match=r"run\.checkpoint is damaged"):
        load_checkpoint(saved, "job")


def test_code_in_a_checkpoint_is_not_run(saved: Path, tmp_path: Path) -> None:
    import hashlib
    import io

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    payload = io.BytesIO()
    torch.save({"version": Trap()}, payload)
    saved.write_bytes(hashlib.sha256(payload.getvalue()).digest() + payload.getvalue())
    with pytest.raises(UserError, match="damaged"):
        load_checkpoint(saved, "job")
    assert not (tmp_path / "ran").exists()


def test_another_job_or_version_is_refused(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="other settings or labels"):
        load_checkpoint(saved, "another")
    with pytest.raises(UserError, match="does not exist"):
        load_checkpoint(saved.with_name("none"), "job")
    for version, written in ((VERSION - 1, "newer"), (VERSION + 1, "older")):
        monkeypatch.setattr("naslora_trainer.checkpoint.VERSION", version)
        with pytest.raises(UserError, match=written):
            load_checkpoint(saved, "job")


def test_settings_and_every_pixel_make_the_job(nuclei: list[TrainingImage]) -> None:
    from dataclasses import replace

    one = job_digest(tiny(), nuclei)
    assert one == job_digest(tiny(checkpoint_every=7, cache_mb=3), nuclei)
    assert one != job_digest(tiny(seed=1), nuclei)
    changed = nuclei[0].image.copy()
    changed[5, 5, 0] ^= 1
    assert one != job_digest(tiny(), [replace(nuclei[0], image=changed), *nuclei[1:]])
    assert one != job_digest(tiny(), [replace(nuclei[0], complete=False), *nuclei[1:]])
