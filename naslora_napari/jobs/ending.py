"""What is said when a child ends without a word of its own."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from pathlib import Path

from .stream import Event

#: Words of Python, torch and the C library for a lack of memory.
MEMORY_WORDS = ("MemoryError", "out of memory", "can't allocate memory", "not enough memory", "bad_alloc")
#: Windows' exit codes for a lack of memory: STATUS_NO_MEMORY and STATUS_COMMITMENT_LIMIT.
WINDOWS_MEMORY = (0xC0000017, 0xC000012D)
SAFE = "Your labels and the model in use are untouched."


def cancelled() -> Event:
    """Return the ``result`` of a job that had to be ended by force."""
    return {
        "event": "result",
        "time": time.time(),
        "status": "cancelled",
        "adapter": None,
        "better": False,
        "reason": "Stopped before the end.",
        "validation": {},
    }


def explain(what: str, code: int | None, tail: Sequence[str], log: Path | None = None) -> Event:
    """Return the ``error`` of a child that died.

    Parameters
    ----------
    what : str
        What the child was: "training process".
    code : int
        Its exit status, negative for a signal; None: it is not known, as nobody watched it.
    tail : sequence of str
        Its last words.
    log : Path, optional
        Where all its words are.
    """
    message, hint = _sentences(what, code, tail)
    details = f" Details: {log}" if log is not None else ""
    return {"event": "error", "time": time.time(), "message": message, "hint": f"{hint} {SAFE}{details}"}


def _sentences(what: str, code: int | None, tail: Sequence[str]) -> tuple[str, str]:
    less = "Close other programs, or use fewer or smaller images, and start again."
    if any(word in line for line in tail for word in MEMORY_WORDS) or _unsigned(code) in WINDOWS_MEMORY:
        return f"The {what} ended because memory ran out.", less
    if code is None:
        found = f"The {what} ended without a result while nobody watched it: it was killed, or the computer went off."
        return found, "Let it go on, or start again."
    if code == -9:
        return f"The {what} was killed, most likely because memory ran out (signal 9).", less
    again = "Start again; if it happens again, run `naslora doctor`."
    if code in (-15, -2, -1):
        return f"The {what} was ended from outside (signal {-code}).", "Start again."
    if code < 0:
        return f"The {what} crashed ({_signal(-code)}).", again
    if code == 0:
        return f"The {what} ended without a result.", again
    last = f": {tail[-1][:300]}" if tail else ""
    status = f"0x{code:08X}" if code > 0xFFFF else str(code)
    return f"The {what} ended early with exit code {status}{last}".rstrip(".") + ".", again


def _unsigned(code: int | None) -> int:
    """Return an exit status as Windows counts."""
    return 0 if code is None else code % (1 << 32)


def _signal(number: int) -> str:
    try:
        return f"signal {number}, {signal.Signals(number).name}"
    except ValueError:
        return f"signal {number}"
