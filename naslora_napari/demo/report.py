"""The demo's report: ``report.json`` for programs, ``report.html`` with the pictures for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from naslora_trainer.files import write_bytes, write_json

JSON_NAME, HTML_NAME = "report.json", "report.html"
#: What every report.json has.
KEYS = (
    "held_out", "latency_ms", "first_step_s", "train_s", "peak_mb", "swap_ms", "swap_gap_ms",
    "objects", "clicks", "machine", "date", "versions",
)  # fmt: skip
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1c2733; background: #fff; }
h1 { margin-bottom: 0.2rem } h2 { margin-top: 2.5rem }
figure { margin: 2rem 0 } figure img { width: 100%; border: 1px solid #c9d2da; border-radius: 4px }
figcaption { margin-bottom: 0.5rem } figcaption b { font-size: 1.1rem }
table { border-collapse: collapse; margin: 0.6rem 0 1.4rem }
td, th { padding: 0.3rem 0.9rem; border-bottom: 1px solid #d5dce2; text-align: right }
td:first-child, th:first-child { text-align: left } .good { font-weight: 600 }
.failed { background: #fde8e6; border-left: 4px solid #c0392b; padding: 0.6rem 1rem }
small { color: #55636f }
@media (prefers-color-scheme: dark) { body { color: #e4e9ed; background: #171c21 } td, th { border-color: #39434c }
  small { color: #9eabb6 } .failed { background: #3c2220 } }
"""


@dataclass(frozen=True)
class Step:
    """One step of the demo.

    Attributes
    ----------
    title : str
        Two or three words.
    caption : str
        One sentence on what the picture shows.
    picture : str
        Name of the picture, in the folder of the report.
    """

    title: str
    caption: str
    picture: str


def write_report(out: Path, figures: dict[str, Any], steps: Sequence[Step], overview: str = "") -> None:
    """Write ``report.json`` and ``report.html`` into ``out``.

    Parameters
    ----------
    out : Path
        Folder of the pictures.
    figures : dict
        With the keys in :data:`KEYS`.
    steps : sequence of Step
        In order.
    overview : str
        Name of a picture for the top of the page.

    Raises
    ------
    ValueError
        A key is missing, or there is one too many.
    UserError
        The disk is full or the folder cannot be written.
    """
    if set(figures) != set(KEYS):
        raise ValueError(f"a report has the keys {sorted(KEYS)}, not {sorted(figures)}")
    top = [f'<p><img src="{escape(overview)}" alt="The loop in five small pictures" style="width: 100%"></p>']
    write_json(out / JSON_NAME, figures)
    _write_page(out, [*(top if overview else []), *_tables(figures), *_figures(steps), _footer(figures)])


def write_failure(out: Path, message: str, steps: Sequence[Step]) -> None:
    """Write ``report.html`` for a demo that stopped with ``message``; an older ``report.json`` is removed."""
    (out / JSON_NAME).unlink(missing_ok=True)
    _write_page(out, [f'<p class="failed">The demo stopped: {escape(message)}</p>', *_figures(steps)])


def _write_page(out: Path, parts: Sequence[str]) -> None:
    page = "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>NAS-LoRA demo</title>\n<style>{STYLE}</style>\n</head>\n<body>",
            "<h1>Click, correct, fine-tune, go on</h1>",
            "<p>The whole loop on sample images of cell nuclei: eight small images with outlines to learn from, eight "
            "others, which are only measured on. Everything below was done in the window, with the mouse, "
            "on this machine.</p>",
            *parts,
            "</body>\n</html>\n",
        ]
    )
    write_bytes(out / HTML_NAME, page.encode("utf-8"))


def _tables(figures: dict[str, Any]) -> list[str]:
    held_out, latency, objects, clicks = (figures[key] for key in ("held_out", "latency_ms", "objects", "clicks"))
    dice = [
        [name, *(f"{held_out[kind][when]:.3f}" for when in ("raw", "before", "after"))]
        for kind, name in (("click", "one click"), ("box", "one box"))
    ]
    waits = [
        [name, str(clicks[key]), f"{latency[key]['p50']:.0f} ms", f"{latency[key]['p95']:.0f} ms"]
        for key, name in (
            ("idle", "before the fine-tune"),
            ("training", "while it trains"),
            ("after", "with the new model"),
        )
    ]
    training = [
        ["from the button to the first step", f"{figures['first_step_s']:.1f} s"],
        ["training, from start to checked result", f"{figures['train_s']:.0f} s"],
        ["memory of the training process at its peak", f"{figures['peak_mb']:.0f} MB"],
        ["swap, from the result to the new model in place", f"{figures['swap_ms']:.0f} ms"],
        ["of that, the time in which a click had to wait", f"{figures['swap_gap_ms']:.2f} ms"],
    ]
    return [
        "<h2>How good the masks are</h2>",
        f"<p>Mean Dice (1 is a perfect outline) over {int(objects['held_out'])} nuclei in the eight images that the "
        f"model never saw. It learned from {int(objects['labelled'])} nuclei.</p>",
        _table(["", "the bare model", "before", "after the fine-tune"], dice),
        "<p><small>The bare model was made for boxes and does not understand a click. Before the fine-tune a click is "
        "therefore asked as boxes of several sizes; afterwards the model understands clicks itself.</small></p>",
        "<h2>How long a click takes</h2>",
        "<p>From the mouse button to the mask on the screen.</p>",
        _table(["", "clicks", "half are faster than", "95 % are faster than"], waits),
        "<h2>What the fine-tune costs</h2>",
        _table(["", ""], training),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    header = f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>" if any(head) else ""
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{header}{body}</table>"


def _figures(steps: Sequence[Step]) -> list[str]:
    return ["<h2>Step by step</h2>", *(_figure(number, step) for number, step in enumerate(steps, 1))]


def _figure(number: int, step: Step) -> str:
    title, caption, picture = escape(step.title), escape(step.caption), escape(step.picture)
    return (
        f"<figure><figcaption><b>{number}. {title}</b><br>{caption}</figcaption>"
        f'<a href="{picture}"><img src="{picture}" alt="{title}" loading="lazy"></a></figure>'
    )


def _footer(figures: dict[str, Any]) -> str:
    computer = figures["machine"]
    packages = ", ".join(f"{name} {number}" for name, number in figures["versions"].items())
    where = f"{computer['processor']}, {computer['cores']} cores, {computer['memory_mb'] / 1024:.0f} GB memory"
    return (
        f"<p><small>{escape(figures['date'])}, {escape(where)}, {escape(str(computer['system']))}.<br>"
        f'{escape(packages)}.<br>The same figures for programs: <a href="{JSON_NAME}">{JSON_NAME}</a>.</small></p>'
    )
