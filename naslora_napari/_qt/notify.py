"""What went wrong, told to a person in napari's notifications, with the details in the log."""

from __future__ import annotations

import logging

from napari.utils.notifications import show_error, show_info, show_warning

from naslora_trainer.errors import UserError

log = logging.getLogger("naslora_napari")


def tell(message: str) -> None:
    """Show an information."""
    log.info(message)
    show_info(message)


def warn(message: str) -> None:
    """Show a warning."""
    log.warning(message)
    show_warning(message)


def report(error: BaseException) -> None:
    """Show an error: the sentence of a :class:`UserError`, or the kind of any other, whose traceback is logged."""
    if isinstance(error, UserError):
        log.warning("%s", error)
        show_error(str(error))
        return
    log.error("unexpected error", exc_info=error)
    show_error(f"Something unexpected went wrong ({type(error).__name__}: {error}). The details are in the log.")
