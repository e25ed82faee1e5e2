"""The figures of trust by one command: nothing is lost (kills, damaged files), swaps, first steps, a long session.

Each benchmark runs in a process of its own, one after the other, and its result file is what the pages show. ``full``
writes to ``benchmarks/results``, which is published; ``small`` is a matter of minutes and writes to ``build/figures``.
Run::

    python benchmarks/figures.py --size small|full [--only swap ...] [--out DIR]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = {"small": HERE.parent / "build" / "figures", "full": HERE / "results"}
#: By result file: the benchmark, its options, and how much of it is done in each size.
Size = Mapping[str, int]
FIGURES: dict[str, tuple[str, tuple[str, ...], dict[str, Size]]] = {
    "durability": (
        "durability.py",
        ("--parts", "kill", "mutate", "accept"),
        {"small": {"kills": 10, "mutations": 60, "accepts": 20}, "full": {"kills": 200, "mutations": 1000}},
    ),
    "durability_opening": (
        "durability.py",
        ("--parts", "open"),
        {"small": {"images": 200}, "full": {"images": 5000}},
    ),
    "swap": ("swap.py", ("--threads", "1"), {"small": {"swaps": 4}, "full": {"swaps": 20}}),
    "first_step": ("first_step.py", (), {"small": {"runs": 1}, "full": {"runs": 8}}),
    "interactive": (
        "interactive.py",
        (),
        {
            "small": {
                **{"pairs": 10, "training-clicks": 20, "steps": 8, "changes": 4, "batch": 2, "clicks": 30},
                **{"accepts": 10, "swaps": 2, "strokes": 2, "side": 1024},
            },
            "full": {
                **{"pairs": 60, "training-clicks": 40, "steps": 16, "changes": 16, "batch": 8, "clicks": 300},
                **{"accepts": 60, "swaps": 12, "strokes": 6, "side": 4096},
            },
        },
    ),
}


def main() -> int:
    """Measure what is asked for; exit status 1 when a benchmark failed or found something lost or torn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=list(OUT), default="small")
    parser.add_argument("--only", nargs="+", choices=list(FIGURES), default=list(FIGURES))
    parser.add_argument("--out", type=Path, help="folder for the result files")
    options = parser.parse_args()
    out: Path = options.out or OUT[options.size]
    out.mkdir(parents=True, exist_ok=True)
    bad = [name for name in options.only if not measure(name, options.size, out)]
    print(f"in {out}" + (f"; failed: {', '.join(bad)}" if bad else ""))
    return int(bool(bad))


def measure(name: str, size: str, out: Path) -> bool:
    """Run one benchmark, keep what it found, also where it is not sound, and return whether it is."""
    started = time.monotonic()
    done = subprocess.run(command(name, size), stdout=subprocess.PIPE, text=True, check=False)
    try:
        document = json.loads(done.stdout)
    except json.JSONDecodeError:
        print(f"{name}: no result, exit status {done.returncode}", file=sys.stderr)
        return False
    (out / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"{name}: {'sound' if done.returncode == 0 else 'NOT SOUND'}, {time.monotonic() - started:.0f} s")
    return done.returncode == 0


def command(name: str, size: str) -> list[str]:
    """Return the command that measures one figure."""
    script, options, sizes = FIGURES[name]
    amounts = [part for key, value in sizes[size].items() for part in (f"--{key}", str(value))]
    return [sys.executable, str(HERE / script), "--json", *options, *amounts]


if __name__ == "__main__":
    sys.exit(main())
