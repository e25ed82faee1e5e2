"""The one exception that carries a sentence for a person."""

from __future__ import annotations


class UserError(Exception):
    """Something a person can understand and repair.

    Parameters
    ----------
    message : str
        One sentence that names the file or field.
    hint : str
        What to do about it; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()
