"""What the person chose in napari's Preferences > NAS-LoRA (``configurations`` in napari.yaml)."""

from __future__ import annotations

import logging
from typing import TypeVar

from napari.settings import get_plugin_settings

T = TypeVar("T")
log = logging.getLogger("naslora_napari")

PLUGIN = "naslora-napari"


def setting(section: str, name: str, default: T) -> T:
    """Return a setting, or ``default`` where the plugin is not registered or the settings file is damaged."""
    try:
        found = getattr(getattr(get_plugin_settings(PLUGIN), section), name)
    except Exception as error:
        log.info("The default of %s.%s is used: %s", section, name, error)
        return default
    return found if isinstance(found, type(default)) else default


def keep(section: str, name: str, value: object) -> None:
    """Change a setting, which napari saves; where it cannot, that is no reason to stop anybody."""
    try:
        setattr(getattr(get_plugin_settings(PLUGIN), section), name, value)
    except Exception as error:
        log.info("%s.%s was not kept: %s", section, name, error)
