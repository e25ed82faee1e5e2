"""What several tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

# A busy machine is no reason for a test to fail.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

if TYPE_CHECKING:
    from segment_anything.modeling import Sam


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
