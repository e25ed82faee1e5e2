"""A screen for a machine that has none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from naslora_trainer.errors import UserError

SIZE = "1920x1080x24"
#: What would keep Qt away from the virtual screen.
OTHER_SCREENS = ("WAYLAND_DISPLAY", "QT_QPA_PLATFORM")


def has_screen() -> bool:
    """Return whether this process can open a window."""
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def screen(headless: bool) -> Iterator[None]:
    """Provide a screen while the block runs: the one that is there, or else, if ``headless``, a virtual one.

    Raises
    ------
    UserError
        There is none, and no Xvfb to make one with.
    """
    if has_screen():
        yield
        return
    if not headless:
        raise UserError("There is no screen to open a window on.", "Use: naslora demo --headless")
    with _virtual_screen() as display:
        before = {name: os.environ.pop(name, None) for name in ("DISPLAY", *OTHER_SCREENS)}
        os.environ["DISPLAY"] = display
        try:
            yield
        finally:
            del os.environ["DISPLAY"]
            os.environ.update({name: value for name, value in before.items() if value is not None})


@contextmanager
def _virtual_screen() -> Iterator[str]:
    program = shutil.which("Xvfb")
    if program is None:
        raise UserError("There is no screen, and Xvfb, which makes a virtual one, is missing.", "apt-get install xvfb")
    read, write = os.pipe()
    command = [program, "-displayfd", str(write), "-screen", "0", SIZE, "-nolisten", "tcp"]
    process = subprocess.Popen(command, pass_fds=(write,), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read, encoding="ascii") as answer:
            number = answer.readline().strip()  # empty when Xvfb ended without a screen
        if not number:
            raise UserError("Xvfb could not make a virtual screen.", "Try: xvfb-run -a naslora demo --headless")
        yield f":{number}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
