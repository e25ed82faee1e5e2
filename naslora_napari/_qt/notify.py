"""What went wrong, told to a person in napari's notifications, with the way to a report and the details in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from napari.utils.notifications import Notification, NotificationSeverity, notification_manager, show_info, show_warning

from naslora_trainer.errors import UserError

log = logging.getLogger("naslora_napari")
T = TypeVar("T")

REPORT = "Report…"
#: What can be done about an error that says nothing of that itself.
WHAT_NOW = "Try again, or with another file; if it stays, “Report…” collects what others need to help."
UNEXPECTED = "What you accepted is on disk. Try again; if it stays, “Report…” collects what others need to help."


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
        message = str(error) if error.hint else f"{error} {WHAT_NOW}"
    else:
        log.error("unexpected error", exc_info=error)
        message = f"Something unexpected went wrong ({type(error).__name__}: {error}). {UNEXPECTED}"
    _show(message, error)


def attempt(action: Callable[[], T]) -> T | None:
    """Return what an action gives; None when it failed, which is told."""
    try:
        return action()
    except Exception as error:
        report(error)
        return None


def complain(message: str, hint: str) -> None:
    """Show an error of a child process, which has a sentence and maybe a way out."""
    log.warning("%s %s", message, hint)
    _show(f"{message} {hint or WHAT_NOW}", None)


def said() -> list[str]:
    """Return what napari told the person lately, the newest last."""
    return [str(record) for record in list(notification_manager.records)[-10:]]


def last_error() -> BaseException | None:
    """Return the last exception that napari told of, be it of this plugin or not."""
    errors = (getattr(record, "exception", None) for record in reversed(list(notification_manager.records)))
    return next((error for error in errors if isinstance(error, BaseException)), None)


def _show(message: str, error: BaseException | None) -> None:
    def show_report(_notification: Any) -> None:
        from .report_dialog import open_report

        open_report(error)

    notification = Notification(message, NotificationSeverity.ERROR, ((REPORT, show_report),))
    notification.exception = error
    notification_manager.dispatch(notification)
