"""What several tests share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import pytest
import torch
from hypothesis import settings

from naslora_trainer.native import reuse_freed_memory

# A busy machine is no reason for a test to fail.
settings.register_profile("project", deadline=None)
settings.load_profile("project")
# As every process does that trains or answers.
reuse_freed_memory()

#: Of trainings in tests: what a person's has where the processor can; fixed, or two runs could differ by what a busy
#: machine measured.
PRECISION = "bfloat16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "float32"
#: Files whose tests take longest, so that with several processes no other one waits for them at the end.
LONGEST = (
    "trainer/test_train.py", "trainer/test_checkpoint.py", "trainer/test_gradients.py", "trainer/test_seeds.py",
    "batch/test_segmenter.py", "jobs/test_stages.py", "benchmarks/test_interactive.py", "test_cli.py",
    "_qt/test_elsewhere.py", "jobs/test_detached.py", "jobs/test_remote.py", "_qt/test_browsing.py",
    "_qt/test_turns.py", "_qt/test_training.py",
)  # fmt: skip

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

    from naslora_trainer.adapter import Adapter


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first (with ``--no-loadscope-reorder``, or pytest-xdist sorts by the number of tests)."""
    root = Path(__file__).parent
    rank = {root / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(LONGEST)))


@pytest.fixture(scope="session")
def base_sam() -> Sam:
    """The real default model. Tests do not change its weights."""
    from naslora_trainer.base import load_base

    return load_base()


@pytest.fixture(scope="session")
def click_sam(base_sam: Sam) -> Sam:
    """LiteMedSAM with the general click adapter. Tests do not change its weights."""
    return base_sam


@pytest.fixture(scope="session")
def litemedsam() -> Sam:
    """The real model that knows boxes only. Tests do not change its weights."""
    from naslora_trainer.base import load_base

    return load_base("litemedsam")


@pytest.fixture
def config_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for what a person set up on this computer."""
    folder = tmp_path / "config"
    monkeypatch.setattr(platformdirs, "user_config_dir", lambda *args, **kwargs: str(folder))
    return folder


@pytest.fixture
def adapter(base_sam: Sam) -> Adapter:
    """It shifts the mask decoder's answer so that every mask is another one."""
    from naslora_resources.registry import DEFAULT_MODEL
    from naslora_trainer.adapter import Adapter, AdapterMeta
    from naslora_trainer.base import fingerprint

    state = base_sam.mask_decoder.state_dict()
    tensors = {"decoder.output_upscaling.3.bias": torch.full_like(state["output_upscaling.3.bias"], 0.3)}
    meta = AdapterMeta(base=DEFAULT_MODEL, fingerprint=fingerprint(base_sam), method="decoder-only", rank=1)
    return Adapter(tensors, meta)
