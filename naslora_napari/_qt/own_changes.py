"""To tell what the program changes in a layer from what the person does."""

from __future__ import annotations


class OwnChanges:
    """True inside a ``with`` of it; they may be nested."""

    def __init__(self) -> None:
        self._depth = 0

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1

    def __bool__(self) -> bool:
        return self._depth > 0
