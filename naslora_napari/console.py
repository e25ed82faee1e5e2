"""What the commands of ``naslora`` say: documents on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="JSON on standard output, everything else on standard error.")]


def follow(as_json: bool) -> Callable[[dict[str, Any]], None]:
    """Return what shows events: JSON lines, or a line on standard error that is written over."""

    def show(event: dict[str, Any]) -> None:
        if as_json:
            print(json.dumps(event), flush=True)
        elif event["event"] == "progress":
            loss = f", loss {event['loss']:.3f}" if event.get("loss") is not None else ""
            place = event.get("stage") or event.get("name", "")
            print(f"\r{event['step']} of {event['steps']}: {place}{loss}\033[K", end="", file=sys.stderr, flush=True)
        elif event["event"] == "metric":
            say(f"\rheld-out Dice: click {event['click_dice']:.3f}, box {event['box_dice']:.3f}\033[K")
        elif event["event"] == "warning":
            say(f"\r{event['message']}\033[K")
        elif event["event"] == "result":
            say("\r\033[K")

    return show


def show(document: Any, as_json: bool, text: str) -> None:
    """Print a JSON document, or a text for people."""
    print(json.dumps(document) if as_json else text)


def say(text: str, end: str = "\n") -> None:
    """Print a line on standard error."""
    print(text, end=end, file=sys.stderr)
