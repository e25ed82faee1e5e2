"""Python's collector of cycles, whose full run stops the window.

With napari and torch in one process it takes about a second on a core that others use, too (measured), while a person
waits for the model or clicks. What is there once the model is loaded is left out of later runs.
"""

from __future__ import annotations

import gc
from collections.abc import Callable


def load_uncollected(load: Callable[[], None]) -> None:
    """Load what is large and stays, without a run meanwhile, and leave all that is there now out of later ones."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        load()
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def collect_again() -> None:
    """Look at everything again: the window is closed, and what it held is to go."""
    gc.unfreeze()
