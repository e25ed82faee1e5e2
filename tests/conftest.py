"""What several tests share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import pytest
from hypothesis import settings

# A busy machine is no reason for a test to fail.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

    from naslora_trainer.adapter import Adapter


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
    import torch

    from naslora_resources.registry import DEFAULT_MODEL
    from naslora_trainer.adapter import Adapter, AdapterMeta
    from naslora_trainer.base import fingerprint

    state = base_sam.mask_decoder.state_dict()
    tensors = {"decoder.output_upscaling.3.bias": torch.full_like(state["output_upscaling.3.bias"], 0.3)}
    meta = AdapterMeta(base=DEFAULT_MODEL, fingerprint=fingerprint(base_sam), method="decoder-only", rank=1)
    return Adapter(tensors, meta)
