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


class NotSavedError(UserError):
    """A file could not be written now; the same may well succeed later."""


class DamagedError(UserError):
    """A file is not what was written: cut off, changed, or another one."""


#: What torch says, beside MemoryError, when memory runs out.
_MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """True for what Python and torch raise when memory runs out."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _MEMORY_WORDS)
